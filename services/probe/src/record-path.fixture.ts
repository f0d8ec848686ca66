/** The path of records as the probe puts it together, with a pipeline that has read one file; what came out of it. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { blankRow, rowsOf } from '@bintrail/schemas/event-rows.fixture.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { ringRecord } from '@bintrail/schemas/ring-record.fixture.ts';
import type { DigestPipeline } from './digest-pipeline.ts';
import { createEventsOut, type Row } from './events-out.ts';
import { identityKey } from './file-identity.ts';
import { NAMELESS, NO_PACKAGE, type PackageColumns } from './packages.ts';
import type { Reading } from './reading.ts';
import { openRecordBuffer, recordView } from './record-buffer.ts';
import { createRecordPath } from './record-path.ts';
import { decodeExecRecord } from './records.ts';
import { redactArguments } from './redact.ts';
import { createOpenedByPid } from './scripts.ts';
import { NO_WRITER } from './writers.ts';

export const SECOND = 1_000_000_000n;
/** When the file was last changed, read, and run, on the boot clock and the wall clock alike. */
export const [CHANGED, READ, RUN] = [100n * SECOND, 200n * SECOND, 300n * SECOND];
export const TICK_NS = 4_000_000n;
export const BASH: PackageColumns = {
  package: 'dpkg:bash:amd64',
  package_version: '5.2',
  package_match: 'match',
  package_algorithm: 'md5',
};

export const EXEC = blankRow(exec, {
  ...{ pid: 10, self_exec_id: 2, start_ns: RUN - 1n, parent_pid: 1, parent_start_ns: 1n, parent_self_exec_id: 1 },
  ...{ dev: 8 << 20, generation: 7, ino: 99n, ctime_ns: CHANGED, mtime_ns: CHANGED, size: 1_000n, nlink: 1 },
  ...{ writecount: -1, fs_magic: 0xef53, path: '/usr/bin/bash', filename: '/bin/bash', cwd: '/', comm: 'bash' },
  ...{ cgroup_path: '/system.slice/cron.service', argv: 'bash\0-l\0', argc: 2, argv_bytes: 8 },
});
export const READING: Reading = {
  ...{ source: 'held', before: EXEC, after: EXEC, startedNs: READ, openedBy: 10, sha256: 'd'.repeat(32), md5: 'x' },
  ...{ sha1: undefined, failure: '' },
};

export type ExecRow = Row<'exec'>;

/** A path whose pipeline has read the one file, and what came out of it. */
export function openPath(context: TestContext, reading = READING) {
  const rows: Record<string, unknown>[] = [];
  const state = {
    ...{ asked: 0, undecodable: 0, nowMs: 1_000, package: BASH, inContainer: NO_PACKAGE },
    sent: {} as Record<string, number>,
  };
  /** Mount namespaces in which the program can wait, as the kernel was told. */
  const toldIn: number[] = [];
  context.mock.method(performance, 'now', () => state.nowMs);
  const out = createEventsOut({
    ...{ node: 'n', boot: 'b', probeEpoch: 1n, onRetry: () => {} },
    publish: async (messages) => {
      for (const { value } of messages) {
        const decoded = decodeBatch(value);
        assert.ok(decoded.ok);
        rows.push(...rowsOf(decoded.batch));
        const { type, rows: count } = decoded.batch;
        state.sent[type] = (state.sent[type] ?? 0) + count;
      }
    },
    onFatal: (error) => {
      throw error;
    },
  });
  const pipeline: DigestPipeline = {
    ...{ tell: () => {}, whenRead: () => false, offerRunning: () => 'vanished', offerMapped: () => 'vanished' },
    ...{ offerOpen: () => 'vanished', offerNamed: () => 'vanished' },
    known: (file) => (identityKey(file) === identityKey(reading.before) ? reading : undefined),
  };
  const { observer, intake, takeCode, changes } = createRecordPath({
    ...{
      pipeline,
      out,
      opened: createOpenedByPid(),
      steps: undefined,
      tickNs: TICK_NS,
      redact: redactArguments,
      nowNs: () => RUN,
      nextSeq: () => 0n,
    },
    workloadOf: (path) => ({
      workload: `w${path}`,
      containerId: path.includes('docker') ? 'c1' : '',
      runtime: 'docker',
      isUsers: false,
    }),
    setup: { mayBe: () => false, isSetup: () => false, note: () => {}, isNoted: () => false },
    packagesOf: async ({ container_id, flags }) => {
      state.asked += 1;
      if (flags & NAMELESS) return NO_PACKAGE;
      return container_id === '' ? state.package : state.inContainer;
    },
    ...{
      noteKnown: (_words: Uint32Array, _word: number, mountNs: number) => toldIn.push(mountNs),
      markUnseen: () => {},
      stillRuns: () => false,
      overloaded: () => false,
      writerOf: () => NO_WRITER,
    },
    onFatal: (error) => {
      throw error;
    },
    onUndecodable: () => {
      state.undecodable += 1;
    },
  });
  const records = openRecordBuffer(64, 1024 * 1024);
  const put = (bytes: Uint8Array) => {
    records.starts[records.count] = records.usedBytes;
    records.lengths[records.count++] = bytes.length;
    records.bytes.set(bytes, records.usedBytes);
    records.usedBytes += Math.ceil(bytes.length / 8) * 8;
  };
  const drained = async () => {
    while (observer.waiting() > 0) await new Promise((resolve) => setImmediate(resolve));
    await out.flush();
    return rows.splice(0);
  };
  /** Takes records as the probe does. */
  const take = async (...taken: readonly Uint8Array[]) => {
    for (const bytes of taken) put(bytes);
    intake.takeKnown(records, 0n);
    intake.takeRest(records, 0n, RUN);
    return drained();
  };
  /** Takes those that need nothing else; returns how many stay. */
  const takeKnown = async (...taken: readonly Uint8Array[]) => {
    for (const bytes of taken) put(bytes);
    intake.takeKnown(records, 0n);
    return { rows: await drained(), stay: records.count };
  };
  const takeExecs = (...facts: readonly Partial<ExecRow>[]) => take(...facts.map(execRecord));
  /** The same by way of the observer alone. */
  const takeLongWay = async (facts: Partial<ExecRow>) => {
    put(execRecord(facts));
    observer.onExec(decodeExecRecord(recordView(records, 0), 0n)!, RUN);
    Object.assign(records, { count: 0, usedBytes: 0 });
    return drained();
  };
  /** The same of the ring for code; what is told of files waits for nothing. */
  const takeFromCode = async (...taken: readonly Uint8Array[]) => {
    for (const bytes of taken) put(bytes);
    takeCode(records, 0n, RUN);
    changes.finish();
    return drained();
  };
  return { state, toldIn, take, takeKnown, takeExecs, takeLongWay, takeFromCode };
}

export function execRecord(facts: Partial<ExecRow>): Uint8Array {
  return ringRecord(exec, { ...EXEC, ...facts }, facts.ts ?? RUN);
}
