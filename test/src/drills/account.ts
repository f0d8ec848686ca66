/** Programs with known digests, and one driver that runs them and writes down each exec. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../kernel/probe-kit.ts';

const SOURCE = fileURLToPath(new URL('./counted.c', import.meta.url));
const EXECS_EACH = 64;
const PAUSE_US = 4_000;

/** One exec; its number is its first argument and its place in the account. CLOCK_MONOTONIC, nanoseconds. */
export type Ran = { readonly program: number; readonly beginNs: bigint; readonly endNs: bigint };

export type Driver = {
  readonly folder: string;
  /** SHA-256 of each program, by its number. */
  readonly digests: readonly string[];
  /** Every exec it made so far, in order; those of the last moment may be missing. */
  readonly soFar: () => Ran[];
  /** Ends the driver; every exec it made, in order. */
  readonly stop: () => Promise<Ran[]>;
};

/** `pauseUs`: between one exec and the next. */
export async function startDriver(folder: string, programs: number, pauseUs = PAUSE_US): Promise<Driver> {
  mkdirSync(folder, { mode: 0o755 });
  const [tool, noop, journal] = [join(folder, 'counted'), join(folder, 'noop'), join(folder, 'journal')];
  writeFileSync(`${noop}.c`, 'int main(void) { return 0; }\n');
  await run('cc', ['-O1', '-o', noop, `${noop}.c`]);
  await run('cc', ['-O1', '-Wall', '-o', tool, SOURCE]);
  const base = readFileSync(noop);
  const digests = Array.from({ length: programs }, (_, which) => {
    // Of this run alone: another on this machine would make the same content run elsewhere.
    const bytes = Buffer.concat([base, Buffer.from(`#${folder}#${String(which).padStart(8, '0')}`)]);
    writeFileSync(join(folder, `p${which}`), bytes);
    chmodSync(join(folder, `p${which}`), 0o755);
    return createHash('sha256').update(bytes).digest('hex');
  });
  const child = spawn(tool, [folder, programs, EXECS_EACH, pauseUs, journal].map(String), {
    env: {},
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return {
    ...{ folder, digests, soFar: () => readJournal(readFileSync(journal), programs) },
    stop: async () => readJournal(await ended(child, journal), programs),
  };
}

async function ended(child: ChildProcess, journal: string): Promise<Buffer> {
  const exit = child.exitCode === null ? once(child, 'exit') : [child.exitCode];
  child.kill('SIGTERM');
  const [code] = (await exit) as [number | null];
  if (code !== 0) throw new Error(`the driver ended with ${code}`);
  return readFileSync(journal);
}

function readJournal(bytes: Buffer, programs: number): Ran[] {
  return Array.from({ length: Math.floor(bytes.length / 16) }, (_, n) => ({
    program: (Math.floor(n / EXECS_EACH) + (n % 4)) % programs,
    beginNs: bytes.readBigUInt64LE(n * 16),
    endNs: bytes.readBigUInt64LE(n * 16 + 8),
  }));
}

/** Numbers of the execs that began and ended in this time. */
export function within(ran: readonly Ran[], fromNs: bigint, toNs: bigint): number[] {
  return ran.flatMap(({ beginNs, endNs }, n) => (beginNs > fromNs && endNs < toNs ? [n] : []));
}
