/** Programs with known digests, and a driver that runs them and counts. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../kernel/probe-kit.ts';

const DRIVER_SOURCE = fileURLToPath(new URL('./driver.c', import.meta.url));

export type Storm = {
  /** SHA-256 of each program, by its number. */
  readonly digests: readonly string[];
  /** Runs `loops` drivers side by side; how many execs succeeded in all. */
  readonly blow: (loops: number, execsPerLoop: number) => Promise<number>;
  /** Alternates two programs in one file, in place; how many execs succeeded. */
  readonly overwrite: (execs: number) => Promise<number>;
  /** Number of the program a path or argument of a row stands for; undefined when the row is not of this storm. */
  readonly programOf: (row: { path: string; argv: readonly string[] }) => number | undefined;
};

/** Builds the driver in `tools` and `programs` static no-ops in `folder`, alike but for a trailer. */
export async function prepareStorm(tools: string, folder: string, programs: number): Promise<Storm> {
  mkdirSync(tools, { recursive: true });
  const driver = join(tools, 'driver');
  const noop = join(tools, 'noop');
  writeFileSync(`${noop}.c`, 'void _start(void) { __asm__ volatile("syscall" : : "a"(231), "D"(0)); }\n');
  await run('cc', ['-O1', '-static', '-nostdlib', '-o', noop, `${noop}.c`]);
  await run('cc', ['-O1', '-o', driver, DRIVER_SOURCE]);
  const base = readFileSync(noop);
  const digests = Array.from({ length: programs }, (_, which) => {
    const bytes = Buffer.concat([base, Buffer.from(`#${String(which).padStart(8, '0')}`)]);
    writeFileSync(join(folder, `p${which}`), bytes);
    chmodSync(join(folder, `p${which}`), 0o755);
    return createHash('sha256').update(bytes).digest('hex');
  });
  const drive = async (...args: (string | number)[]) => Number((await run(driver, args.map(String))).stdout);
  const target = join(folder, 'overwritten');
  return {
    digests,
    blow: async (loops, execsPerLoop) => {
      const counts = Array.from({ length: loops }, (_, loop) => drive('storm', folder, loop, execsPerLoop, programs));
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    },
    overwrite: (execs) => drive('overwrite', target, execs, join(folder, 'p0'), join(folder, 'p1')),
    programOf: ({ path, argv }) => (path.startsWith(`${folder}/`) ? Number(argv[1]) : undefined),
  };
}
