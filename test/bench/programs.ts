/** The C programs of the benches, built in a folder. */
import { execFile } from 'node:child_process';
import { appendFileSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const source = (name: string) => fileURLToPath(new URL(`./${name}.c`, import.meta.url));

/** Nanoseconds an exec, as spawn-loop.c prints them. */
export type LoopTimes = { readonly median: number; readonly mean: number; readonly cpu: number };

export type Programs = {
  /** A static program that ends at once. */
  readonly noop: string;
  /** The same with a loader and libc, and four libraries more: about what a usual program has. */
  readonly dynamic: string;
  /** The same program with a trailer of its own: another digest. */
  readonly variant: (name: string) => string;
  /** The four libraries. */
  readonly libraries: readonly string[];
  /** Runs a program that often, one at a time, with a pause after each. */
  readonly loop: (execs: number, program: string, pauseUs?: number) => Promise<LoopTimes>;
  /** Opens a file, or maps several in turn for execution, that often; nanoseconds of CPU time each (use-loop.c). */
  readonly use: (how: 'open' | 'load', times: number, ...files: readonly string[]) => Promise<number>;
};

export async function buildPrograms(folder: string): Promise<Programs> {
  const noop = join(folder, 'noop');
  const dynamic = join(folder, 'dynamic');
  const [loop, use] = [join(folder, 'spawn-loop'), join(folder, 'use-loop')];
  writeFileSync(`${noop}.c`, 'int main(void) { return 0; }\n');
  await run('cc', ['-O2', '-static', '-o', noop, `${noop}.c`]);
  const libraries = Array.from({ length: 4 }, (_, index) => join(folder, `lib${index}.so`));
  for (const library of libraries) await run('cc', ['-shared', '-fPIC', '-o', library, `${noop}.c`]);
  await run('cc', ['-O2', '-Wl,--no-as-needed', '-o', dynamic, `${noop}.c`, ...libraries]);
  await run('cc', ['-O2', '-o', loop, source('spawn-loop')]);
  await run('cc', ['-O2', '-o', use, source('use-loop')]);
  return {
    ...{ noop, dynamic, libraries },
    variant: (name) => {
      const path = join(folder, name);
      copyFileSync(noop, path);
      appendFileSync(path, `#${name}`);
      return path;
    },
    loop: async (execs, program, pauseUs = 0) =>
      JSON.parse((await run(loop, [String(execs), program, String(pauseUs)])).stdout) as LoopTimes,
    use: async (how, times, ...files) => Number((await run(use, [how, String(times), ...files])).stdout),
  };
}
