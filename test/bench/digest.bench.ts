/** How fast the probe hashes, beside `sha256sum`. */
import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CHUNK_BYTES, hashDescriptor } from '@bintrail/probe/hashing.ts';
import type { Bench, Figure } from './bench.ts';
import { hostPrograms } from './sample-rows.ts';
import { alternate, ratios, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const PAIRS = 9;
const LARGE_FILES = 8;
const LARGE_BYTES = 32 * 1024 * 1024;
const PROGRAMS = 400;

const runProgram = promisify(execFile);

async function run(): Promise<Figure[]> {
  const folder = tempFolder('digest');
  const large = Array.from({ length: LARGE_FILES }, (_, index) => {
    const path = join(folder, `large-${index}`);
    writeFileSync(path, randomFillSync(Buffer.allocUnsafe(LARGE_BYTES)));
    return path;
  });
  const programs = hostPrograms(PROGRAMS).map(({ path }) => path);
  const aim = { of: 'ratio', op: '≥', value: 0.9 } as const;
  return [
    { ...(await compare(`files of ${LARGE_BYTES / 2 ** 20} MiB`, large)), aim, whyMissed: WHY_MISSED },
    { ...(await compare(`${programs.length} programs of this host`, programs)), aim, whyMissed: WHY_MISSED },
  ];
}

const WHY_MISSED = 'one thread hashes what others have read.';

async function compare(what: string, paths: readonly string[]): Promise<Figure> {
  const sizes = paths.map((path) => statSync(path).size);
  const megabytes = sizes.reduce((sum, size) => sum + size, 0) / 1e6;
  await hashAll(paths, sizes);
  const { a, b } = await alternate(
    PAIRS,
    () => timed(() => hashAll(paths, sizes)),
    () => timed(() => runProgram('sha256sum', [...paths], { maxBuffer: 2 ** 24 })),
  );
  const [rates, theirs] = [a.map((seconds) => megabytes / seconds), b.map((seconds) => megabytes / seconds)];
  const baseline = { what: 'sha256sum', value: summarize(theirs) };
  return { what, unit: 'MB/s', value: summarize(rates), baseline, ratio: ratios(rates, theirs) };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  await work();
  return (performance.now() - beganMs) / 1_000;
}

/** As the probe does it: descriptors that are open already, two of them read at a time. */
async function hashAll(paths: readonly string[], sizes: readonly number[]) {
  const waiting = paths.map((path, index) => ({ fd: openSync(path, 'r'), size: sizes[index]! }));
  const readSome = async () => {
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { failure } = await hashDescriptor(
        next.fd,
        next.size,
        { extras: [], isProgram: false },
        chunk,
        () => false,
      );
      closeSync(next.fd);
      if (failure !== '') throw new Error('a file could not be hashed');
    }
  };
  await Promise.all([readSome(), readSome()]);
}

export const bench: Bench = {
  name: 'digest',
  title: 'SHA-256',
  method:
    `One hashing thread of the probe against one \`sha256sum\` over the same files in the page cache, in turns, ${PAIRS} ` +
    'pairs; opening counts on both sides, the start of the process only for sha256sum.',
  run,
};
