/** Programs with known digests, and a driver that runs them and counts. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../kernel/probe-kit.ts';

const source = (name: string) => fileURLToPath(new URL(name, import.meta.url));

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

export type Tools = { readonly driver: string; readonly noop: string };

export async function buildTools(folder: string): Promise<Tools> {
  mkdirSync(folder, { recursive: true });
  const [driver, noop] = [join(folder, 'driver'), join(folder, 'noop')];
  await run('cc', ['-O1', '-static', '-nostdlib', '-fno-stack-protector', '-o', noop, source('noop.c')]);
  // Static: it also runs in containers that have no library.
  await run('cc', ['-O1', '-static', '-o', driver, source('driver.c')]);
  return { driver, noop };
}

/** As many programs, alike but for a trailer; the digest of each. */
export function writePrograms({ noop }: Tools, folder: string, count: number): string[] {
  const base = readFileSync(noop);
  return Array.from({ length: count }, (_, which) => {
    const bytes = Buffer.concat([base, Buffer.from(`#${String(which).padStart(8, '0')}`)]);
    writeFileSync(join(folder, `p${which}`), bytes);
    chmodSync(join(folder, `p${which}`), 0o755);
    return createHash('sha256').update(bytes).digest('hex');
  });
}

/** The program a row of a storm in this folder must have been: the driver says it in the first argument. */
export const programIn =
  (folder: string): Storm['programOf'] =>
  ({ path, argv }) =>
    path.startsWith(`${folder}/`) ? Number(argv[1]) : undefined;

/** Builds the driver in `tools` and `programs` static no-ops in `folder`. */
export async function prepareStorm(tools: string, folder: string, programs: number): Promise<Storm> {
  const built = await buildTools(tools);
  const digests = writePrograms(built, folder, programs);
  const drive = async (...args: (string | number)[]) => Number((await run(built.driver, args.map(String))).stdout);
  const target = join(folder, 'overwritten');
  return {
    digests,
    blow: async (loops, execsPerLoop) => {
      const counts = Array.from({ length: loops }, (_, loop) => drive('storm', folder, loop, execsPerLoop, programs));
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    },
    overwrite: (execs) => drive('overwrite', target, execs, join(folder, 'p0'), join(folder, 'p1')),
    programOf: programIn(folder),
  };
}
