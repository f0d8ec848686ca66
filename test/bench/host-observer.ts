/**
 * The probe's user space without the kernel: observer, digest pipeline, package look-ups and redaction as the probe puts
 * them together, on the programs of this host. Only the describing of descriptors is done by fstat instead of BPF.
 */
import { constants, fstatSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { openClock } from '@bintrail/probe/clock.ts';
import { createDescriptors } from '@bintrail/probe/descriptors.ts';
import { createDigestPipeline } from '@bintrail/probe/digest-pipeline.ts';
import { createEventsOut, type EventsOut } from '@bintrail/probe/events-out.ts';
import { loadLibc } from '@bintrail/probe/ffi.ts';
import type { FileState } from '@bintrail/probe/file-identity.ts';
import { openDpkg } from '@bintrail/probe/package-evidence/dpkg.ts';
import { createHostOwners, packageColumns } from '@bintrail/probe/packages.ts';
import { createRecordPath, type RecordPath } from '@bintrail/probe/record-path.ts';
import { redactArguments } from '@bintrail/probe/redact.ts';
import { createRuntimeSetup } from '@bintrail/probe/runtime-setup.ts';
import { createOpenedByPid } from '@bintrail/probe/scripts.ts';
import { workloadOf } from '@bintrail/probe/workload.ts';
import { NO_WRITER } from '@bintrail/probe/writers.ts';
import type { Message } from '@bintrail/runtime/bus.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { rowsOf } from '@bintrail/standalone/replay-recording.ts';
import { type ExecRow, kernelRows, type Program } from './sample-rows.ts';

const EXT4_MAGIC = 0xef53;
const PROC_SETTLE_MS = 5;

export type HostObserver = {
  readonly pathTo: (out: EventsOut) => RecordPath;
  readonly close: () => Promise<void>;
};

/** Reads every program once, so that all digests are cached when it resolves. */
export async function openHostObserver(programs: readonly Program[]): Promise<HostObserver> {
  const clock = openClock(loadLibc());
  const ownersOf = createHostOwners(openDpkg('/'), () => true);
  const onFatal = (error: unknown): never => {
    throw error;
  };
  const byInode = new Map(programs.map((program) => [program.ino, program]));
  const describe = (fd: number): FileState | undefined => {
    const program = byInode.get(fstatSync(fd, { bigint: true }).ino);
    return program && { ...program, writecount: 0, fs_magic: EXT4_MAGIC, flags: 0 };
  };
  const pipeline = createDigestPipeline({
    ...{ describe, nowNs: clock.nowNs, tickNs: clock.tickNs },
    ...{ read: () => {}, openNamed: () => undefined },
  });
  const descriptors = createDescriptors({
    ...{ describe, nowNs: clock.nowNs, tickNs: clock.tickNs, maxFileBytes: 1024 ** 3, rootDev: 0 },
    maxBytesPerS: undefined,
    ...{ readCached: () => undefined, silence: () => {}, onReleased: () => {}, namesFile: () => true },
    tell: (told) => {
      if (told.kind !== 'script') pipeline.tell(told);
    },
  });
  for (const { path } of programs) {
    descriptors.take(openSync(path, constants.O_RDONLY), process.pid);
    while (descriptors.held() > 0) await delay(PROC_SETTLE_MS);
  }

  const seqs = new Map<number, bigint>();
  const nextSeq = (stream: number) => {
    const seq = seqs.get(stream) ?? 0n;
    seqs.set(stream, seq + 1n);
    return seq;
  };
  const pathTo: HostObserver['pathTo'] = (out) =>
    createRecordPath({
      ...{
        pipeline,
        out,
        opened: createOpenedByPid(),
        steps: undefined,
        tickNs: clock.tickNs,
        nowNs: clock.nowNs,
        nextSeq,
        redact: redactArguments,
      },
      workloadOf: (cgroupPath) => workloadOf(cgroupPath, (uid) => (uid === 0 ? 'root' : undefined)),
      setup: createRuntimeSetup({
        ...{ hostMounts: 0, openNamed: () => undefined, describe: () => undefined, known: () => undefined },
      }),
      packagesOf: (asked, evidence, reading) => packageColumns(ownersOf, asked, evidence, reading),
      ...{
        noteKnown: () => {},
        markUnseen: () => {},
        stillRuns: () => false,
        overloaded: () => false,
        writerOf: () => NO_WRITER,
        onFatal,
      },
      onUndecodable: () => onFatal(new Error('a record of our own could not be decoded')),
    });
  return { pathTo, close: async () => descriptors.close() };
}

/** An outlet to this `publish`, as the probe has it. */
export function outletTo(publish: (messages: readonly Message[]) => Promise<void>): EventsOut {
  return createEventsOut({
    ...{ node: 'bench', boot: '00000000-0000-0000-0000-000000000000', probeEpoch: 1n, publish },
    onFatal: (error) => {
      throw error;
    },
    onRetry: () => {},
  });
}

/** Finished rows, as they leave the probe: workload, digest, package and all. */
export async function finishedRows(programs: readonly Program[], count: number): Promise<ExecRow[]> {
  const host = await openHostObserver(programs);
  const rows: ExecRow[] = [];
  const out = outletTo(async (messages) => {
    for (const { value } of messages) {
      const decoded = decodeBatch(value);
      if (!decoded.ok) throw new Error(decoded.detail);
      rows.push(...(rowsOf(decoded.batch) as ExecRow[]));
    }
  });
  const { observer } = host.pathTo(out);
  for (const row of kernelRows(programs, count)) observer.onExec(row, 0n);
  while (observer.waiting() > 0) await delay(PROC_SETTLE_MS);
  await out.close();
  await host.close();
  return rows;
}
