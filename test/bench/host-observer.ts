/**
 * The probe's user space without the kernel: observer, digest pipeline, package look-ups and redaction as the probe puts
 * them together, on the programs of this host. Only the describing of descriptors is done by fstat instead of BPF.
 */
import { constants, fstatSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { openClock } from '@bintrail/probe/clock.ts';
import { createDigestPipeline } from '@bintrail/probe/digest-pipeline.ts';
import type { EventsOut } from '@bintrail/probe/events-out.ts';
import { loadLibc } from '@bintrail/probe/ffi.ts';
import type { FileState } from '@bintrail/probe/file-identity.ts';
import { startHasher } from '@bintrail/probe/hasher.ts';
import { createImageTable } from '@bintrail/probe/image-table.ts';
import { createObserver, type Observer, type ObserverOptions } from '@bintrail/probe/observer.ts';
import { openDpkg } from '@bintrail/probe/package-evidence/dpkg.ts';
import { hasRecord } from '@bintrail/probe/package-evidence/evidence.ts';
import { createOwnersOf, packageColumns } from '@bintrail/probe/packages.ts';
import { redactArguments } from '@bintrail/probe/redact.ts';
import { createOpenedByPid } from '@bintrail/probe/scripts.ts';
import { workloadOf } from '@bintrail/probe/workload.ts';
import { createLru } from '@bintrail/runtime/lru.ts';
import { type ExecRow, kernelRows, type Program } from './sample-rows.ts';

const EXT4_MAGIC = 0xef53;
const PROC_SETTLE_MS = 5;

type PackagesOf = ObserverOptions['packagesOf'];

export type HostObserver = {
  readonly observerTo: (out: EventsOut, packagesOf?: PackagesOf) => Observer;
  /** What the package database says of each path, asked once: what look-ups would cost if they cost nothing. */
  readonly remembered: PackagesOf;
  readonly close: () => Promise<void>;
};

/** Reads every program once, so that all digests are cached when it resolves. */
export async function openHostObserver(programs: readonly Program[]): Promise<HostObserver> {
  const clock = openClock(loadLibc());
  const hasher = startHasher(2);
  const ownersOf = createOwnersOf(openDpkg('/'));
  const onFatal = (error: unknown): never => {
    throw error;
  };
  const byInode = new Map(programs.map((program) => [program.ino, program]));
  const describe = (fd: number): FileState | undefined => {
    const program = byInode.get(fstatSync(fd, { bigint: true }).ino);
    return program && { ...program, writecount: 0, fs_magic: EXT4_MAGIC, flags: 0 };
  };
  const pipeline = createDigestPipeline({
    ...{ describe, hasher, nowNs: clock.nowNs, tickNs: clock.tickNs, maxFileBytes: 1024 ** 3, onFatal },
    wantsMd5: async (path, file) => hasRecord(await ownersOf(path, file)),
  });
  for (const { path } of programs) pipeline.offer(openSync(path, constants.O_RDONLY), process.pid);
  while (pipeline.held() > 0) await delay(PROC_SETTLE_MS);

  const seqs = new Map<number, bigint>();
  const nextSeq = (stream: number) => {
    const seq = seqs.get(stream) ?? 0n;
    seqs.set(stream, seq + 1n);
    return seq;
  };
  const lookUp: PackagesOf = (asked, evidence, reading) => packageColumns(ownersOf, asked, evidence, reading);
  const observerTo: HostObserver['observerTo'] = (out, packagesOf = lookUp) =>
    createObserver({
      ...{ pipeline, out, images: createImageTable(), opened: createOpenedByPid(), tickNs: clock.tickNs },
      ...{ place: createPlacer(), packagesOf, redact: redactJoined },
      ...{ stillRuns: () => false, overloaded: () => false },
      ...{ nextSeq, nowNs: clock.nowNs, onFatal },
    });
  return { observerTo, remembered: remember(lookUp), close: hasher.close };
}

function remember(lookUp: PackagesOf): PackagesOf {
  const known = new Map<string, ReturnType<PackagesOf>>();
  return (asked, evidence, reading) => {
    const key = asked.container_id + asked.path;
    const found = known.get(key) ?? lookUp(asked, evidence, reading);
    known.set(key, found);
    return found;
  };
}

function createPlacer(): (cgroupPath: string) => ReturnType<typeof workloadOf> {
  const places = createLru<string, ReturnType<typeof workloadOf>>(4096);
  const userName = (uid: number) => (uid === 0 ? 'root' : undefined);
  return (cgroupPath) => {
    const found = places.touch(cgroupPath) ?? workloadOf(cgroupPath, userName);
    places.set(cgroupPath, found);
    return found;
  };
}

function redactJoined(argv: string): { argv: string; redacted: boolean } {
  const ended = argv.endsWith('\0');
  const result = redactArguments((ended ? argv.slice(0, -1) : argv).split('\0'));
  return { argv: result.argv.join('\0') + (ended ? '\0' : ''), redacted: result.redacted };
}

/** Finished rows, as they leave the probe: workload, digest, package and all. */
export async function finishedRows(programs: readonly Program[], count: number): Promise<ExecRow[]> {
  const host = await openHostObserver(programs);
  const rows: ExecRow[] = [];
  const out: EventsOut = {
    add: (name, row) => {
      if (name === 'exec') rows.push(row as ExecRow);
    },
    ...{ flush: async () => {}, depth: () => 0, dropped: () => new Map(), close: async () => {} },
  };
  const observer = host.observerTo(out, host.remembered);
  for (const row of kernelRows(programs, count)) observer.onExec(row, 0n);
  while (observer.waiting() > 0) await delay(PROC_SETTLE_MS);
  await host.close();
  return rows;
}
