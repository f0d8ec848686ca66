/** The C programs of the benches, built in a folder. */
import { execFile } from 'node:child_process';
import { appendFileSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const LOOP_SOURCE = fileURLToPath(new URL('./spawn-loop.c', import.meta.url));

/** Nanoseconds an exec, as spawn-loop.c prints them. */
export type LoopTimes = { readonly median: number; readonly mean: number; readonly cpu: number };

export type Programs = {
  /** A static program that ends at once. */
  readonly noop: string;
  /** The same with a loader and libc, and four libraries more: about what a usual program has. */
  readonly dynamic: string;
  /** The same program with a trailer of its own: another digest. */
  readonly variant: (name: string) => string;
  /** Runs a program that often, one at a time. */
  readonly loop: (execs: number, program: string) => Promise<LoopTimes>;
};

export async function buildPrograms(folder: string): Promise<Programs> {
  const noop = join(folder, 'noop');
  const dynamic = join(folder, 'dynamic');
  const loop = join(folder, 'spawn-loop');
  writeFileSync(`${noop}.c`, 'int main(void) { return 0; }\n');
  await run('cc', ['-O2', '-static', '-o', noop, `${noop}.c`]);
  const libraries = Array.from({ length: 4 }, (_, index) => join(folder, `lib${index}.so`));
  for (const library of libraries) await run('cc', ['-shared', '-fPIC', '-o', library, `${noop}.c`]);
  await run('cc', ['-O2', '-Wl,--no-as-needed', '-o', dynamic, `${noop}.c`, ...libraries]);
  await run('cc', ['-O2', '-o', loop, LOOP_SOURCE]);
  return {
    ...{ noop, dynamic },
    variant: (name) => {
      const path = join(folder, name);
      copyFileSync(noop, path);
      appendFileSync(path, `#${name}`);
      return path;
    },
    loop: async (execs, program) => JSON.parse((await run(loop, [String(execs), program])).stdout) as LoopTimes,
  };
}
