/** C programs of tests. In the virtual machine, where a compiler takes seconds, a file of tests may be run twice: each once. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const compiled = new Map<string, Promise<Buffer>>();

/** Makes `path` a program of this C source, which is left beside it; `flags` for cc. Throws with the compiler's words. */
export async function compile(path: string, source: string, flags: readonly string[] = ['-O1']): Promise<void> {
  const key = JSON.stringify([source, flags]);
  const known = compiled.get(key);
  if (known !== undefined) return writeFile(path, await known, { mode: 0o755 });
  const program = build(path, source, flags);
  compiled.set(key, program);
  await program;
}

async function build(path: string, source: string, flags: readonly string[]): Promise<Buffer> {
  await writeFile(`${path}.c`, source);
  await run('cc', [...flags, '-o', path, `${path}.c`]);
  return await readFile(path);
}
