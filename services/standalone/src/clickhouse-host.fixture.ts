/** A real engine on a folder of its own, for the tests of every workspace. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClickHouse, startClickHouse } from './clickhouse-host.ts';

export type TestEngine = ClickHouse & {
  readonly homeDir: string;
  /** What the host and the engine printed. */
  readonly printed: readonly string[];
  /** Stops the engine and deletes its folder. */
  remove(): Promise<void>;
};

export const isRoot = process.geteuid!() === 0;
/** Nobody's: no account needs to exist for it. */
export const testUser = isRoot ? { uid: 54_321, gid: 54_321 } : { uid: process.geteuid!(), gid: process.getegid!() };

export const hostSource = fileURLToPath(new URL('../../../infra/clickhouse-host/host.c', import.meta.url));
export const hostBinary = join(dirname(hostSource), 'build', 'clickhouse-host');

/** A new folder for the engine's user; its name has what a configuration in XML might stumble over. */
export function testHome(): string {
  const homeDir = mkdtempSync(join(tmpdir(), 'bintrail <&> '));
  chownSync(homeDir, testUser.uid, testUser.gid);
  return homeDir;
}

export async function startTestEngine(homeDir = testHome()): Promise<TestEngine> {
  buildHost();
  const printed: string[] = [];
  const engine = await startClickHouse({ homeDir, ...testUser, log: (line) => printed.push(line) });
  const remove = async () => {
    await engine.stop();
    rmSync(homeDir, { recursive: true, force: true });
  };
  return { ...engine, homeDir, printed, remove };
}

/** Compiles the host where it is older than its source. Other tests may do the same at this moment. */
export function buildHost(): void {
  const modified = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (modified(hostBinary) > modified(hostSource)) return;
  mkdirSync(dirname(hostBinary), { recursive: true });
  const own = `${hostBinary}.${process.pid}`;
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-o', own, hostSource, '-ldl']);
  renameSync(own, hostBinary);
}
