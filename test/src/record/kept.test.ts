import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { type AnyRow, rowsOf, unpackRecording } from '@bintrail/standalone/replay-recording.ts';
import { keptMessages } from './kept.ts';

const SAMPLE = new URL('../../../services/standalone/sample/sample.cbor.zst', import.meta.url);
const sample = unpackRecording(readFileSync(SAMPLE));
const rowOf = (type: EventName) => rowsOf(sample.find((batch) => batch.type === type)!)[0]!;

function messageOf(type: EventName, rows: readonly AnyRow[], batchSeq: number) {
  const header = { node: 'some-host', boot: 'some-boot', probeEpoch: 1n, batchSeq };
  const decoded = decodeBatch(encodeBatch(EVENTS[type], header, rows as never));
  assert.ok(decoded.ok);
  return decoded.batch;
}

function exec(pid: number, parent: number, cpuSeq: bigint, more: AnyRow = {}): AnyRow {
  const [times, flags] = [{ start_ns: BigInt(pid), parent_start_ns: BigInt(parent) }, 0];
  return {
    ...rowOf('exec'),
    pid,
    ...times,
    parent_pid: parent,
    ppid: parent,
    cpu: 0,
    cpu_seq: cpuSeq,
    ts: 100n,
    flags,
    ...more,
  };
}

const kept = (batches: Parameters<typeof keptMessages>[0]) =>
  keptMessages(batches, new Set([10])).map((message) => {
    const decoded = decodeBatch(message);
    assert.ok(decoded.ok);
    return decoded.batch;
  });

const snapshot = { flags: flagBit('snapshot'), cpu_seq: 0n };

test('only what descends from the roots is kept, whatever the order, and numbered as if nothing else had been', () => {
  const batches = [
    messageOf('exec', [exec(10, 9, 0n, { ...snapshot, parent_path: '/foreign' }), exec(9, 1, 0n, snapshot)], 0),
    messageOf('exec', [exec(12, 11, 7n), exec(90, 9, 5n), exec(11, 10, 4n)], 1),
    messageOf('exec', [exec(91, 90, 6n)], 2),
  ];
  const [root, rest, ...none] = kept(batches);
  assert.deepEqual(none, []);
  assert.deepEqual(
    rowsOf(root!).map(({ pid, parent_pid, ppid, parent_path }) => [pid, parent_pid, ppid, parent_path]),
    [[10, 0, 1, '']],
  );
  assert.deepEqual(
    rowsOf(rest!).map(({ pid, cpu_seq }) => [pid, cpu_seq]),
    [
      [12, 1n],
      [11, 0n],
    ],
  );
  assert.deepEqual([root!.node, rest!.batchSeq], ['sample-host', 1]);
});

test('the counters of the ring count what is kept; a recording with loss is refused', () => {
  const counter = (lost: bigint) => ({
    ...rowOf('loss'),
    cpu: 0,
    event_type: 'exec',
    place: 'ring',
    ts: 200n,
    seen: 50n,
    sent: 50n - lost,
    lost,
  });
  const execs = messageOf('exec', [exec(10, 9, 0n, snapshot), exec(11, 10, 4n), exec(90, 9, 5n)], 0);
  const [, loss] = kept([execs, messageOf('loss', [counter(0n)], 1)]);
  assert.deepEqual(
    rowsOf(loss!).map(({ seen, sent }) => [seen, sent]),
    [[1n, 1n]],
  );
  assert.throws(() => kept([execs, messageOf('loss', [counter(2n)], 1)]), /events were lost/);
});
