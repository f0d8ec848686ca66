/**
 * Names the host's own interpreters before any of them runs. Where they are looked for goes by name; what they are is
 * decided by package and content, as for any other.
 */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DigestPipeline } from './digest-pipeline.ts';
import type { FileState } from './file-identity.ts';
import type { Interpreters } from './interpreters.ts';
import { openPathOnly } from './named-file.ts';
import type { ObserverOptions } from './observer.ts';
import { evidenceFrom, type Reading } from './reading.ts';

export type SeedOptions = Pick<ObserverOptions, 'packagesOf' | 'tickNs' | 'nowNs' | 'onFatal'> & {
  readonly pipeline: Pick<DigestPipeline, 'offerNamed' | 'whenRead'>;
  readonly describe: (fd: number) => FileState | undefined;
  readonly interpreters: Pick<Interpreters, 'learn'>;
  readonly hostMounts: number;
};

const FOLDERS = ['/bin', '/usr/bin', '/usr/local/bin'];
const NAMES = /^(sh|bash|dash|zsh|ksh|mksh|fish|busybox|(python|perl|ruby|nodejs|node|php|lua|tclsh)[\d.]*)$/;
/** Larger ones (Node.js: 100 MB) are named when they first run: starting costs no more than some 50 ms of CPU. */
const MAX_BYTES = 16 * 1024 * 1024;

export function seedInterpreters(options: SeedOptions): void {
  for (const path of new Set(FOLDERS.flatMap(candidatesIn))) {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() && stats.size <= MAX_BYTES) seed(options, path);
  }
}

/** Where the names lead to: packages own `python3.11`, and `python3` is a link. */
function candidatesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => NAMES.test(name) && existsSync(join(folder, name)));
    return names.map((name) => realpathSync(join(folder, name)));
  } catch {
    return [];
  }
}

function seed(options: SeedOptions, path: string): void {
  const fd = openPathOnly(path);
  const file = fd === undefined ? undefined : options.describe(fd);
  if (fd === undefined || file === undefined) return;
  if (options.pipeline.offerNamed(process.pid, fd, file, path) !== undefined) return;
  options.pipeline.whenRead(file, process.pid, (reading) => learn(options, path, file, reading));
}

function learn(options: SeedOptions, path: string, file: FileState, reading: Reading): void {
  const tsNs = options.nowNs();
  const evidence = evidenceFrom({ file, tsNs, pid: process.pid }, reading, options.tickNs, () => false);
  const asked = {
    path,
    flags: file.flags,
    file,
    container_id: '',
    image: '',
    pid: 0,
    mnt_ns: options.hostMounts,
    tsNs,
  };
  options
    .packagesOf(asked, evidence, reading)
    .then((columns) => options.interpreters.learn(file, { ...evidence, ...columns }))
    .catch(options.onFatal);
}
