import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Transient } from '@bintrail/runtime/errors.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { numberAt } from '@bintrail/schemas/row.ts';
import { createEventsOut, type Row } from './events-out.ts';

const ZEROS = { text: '', bytes: '', digest: '', u64: 0n, time: 0n, u8: 0, u16: 0, u32: 0, i32: 0 } as const;

function exitRow(pid: number): Row<'exit'> {
  return {
    ...{ ts: 1n, cpu: 0, cpu_seq: BigInt(pid), pid, self_exec_id: 1, start_ns: 1n, exit_code: 0, signal: 0 },
    ...{ workload: 'host', container_id: '', image: '' },
  };
}

function collector(failures = 0, maxWaitingBytes?: number) {
  const batches: Batch[] = [];
  let left = failures;
  const out = createEventsOut({
    ...{ node: 'n', boot: 'b', probeEpoch: 5n, maxWaitingBytes },
    publish: async (messages) => {
      if (left-- > 0) throw new Transient('away');
      for (const { key, value } of messages) {
        assert.equal(key, 'n');
        const decoded = decodeBatch(value);
        assert.ok(decoded.ok);
        batches.push(decoded.batch);
      }
    },
    onFatal: (error) => {
      throw error;
    },
    onRetry: () => {},
  });
  return { out, batches };
}

test('a full batch leaves at once, the rest with the flush, numbered without a gap', async () => {
  const { out, batches } = collector();
  for (let pid = 0; pid < 2_500; pid++) out.add('exit', exitRow(pid));
  await out.close();
  assert.deepEqual(
    batches.map(({ rows, batchSeq }) => [batchSeq, rows]),
    [
      [0, 1024],
      [1, 1024],
      [2, 452],
    ],
  );
});

test('what is told of containers leaves before what ran in them', async () => {
  const { out, batches } = collector();
  out.add('exit', exitRow(1));
  const zeros = Object.fromEntries(EVENTS.container.fields.map(({ name, kind }) => [name, ZEROS[kind]]));
  out.add('container', zeros as Row<'container'>);
  await out.close();
  assert.deepEqual(
    batches.map(({ type }) => type),
    ['container', 'exit'],
  );
});

test('a message over the size limit is split, and nothing of it is lost', async () => {
  const { out, batches } = collector();
  const workload = (pid: number) => `${pid}-`.padEnd(4_096, 'x');
  for (let pid = 0; pid < 600; pid++) out.add('exit', { ...exitRow(pid), workload: workload(pid) });
  await out.close();
  assert.ok(batches.length > 2);
  assert.equal(
    batches.reduce((rows, batch) => rows + batch.rows, 0),
    600,
  );
  assert.deepEqual(
    batches.map(({ batchSeq }) => batchSeq),
    batches.map((_, index) => index),
  );
});

test('while the bus is away messages wait, and arrive in order', async () => {
  const { out, batches } = collector(2);
  out.add('exit', exitRow(1));
  void out.flush();
  out.add('exit', exitRow(2));
  await out.flush();
  assert.equal(out.depth(), 0);
  assert.deepEqual(
    batches.map(({ batchSeq }) => batchSeq),
    [0, 1],
  );
});

test('what does not fit the buffer is counted as dropped, the newest first', async () => {
  const { out, batches } = collector(1, 1024 * 1024);
  for (let pid = 0; pid < 500; pid++) out.add('exit', { ...exitRow(pid), workload: `${pid}-`.padEnd(4_000, 'x') });
  await out.flush();
  const dropped = Number(out.dropped().get('exit'));
  const kept = batches.reduce((rows, batch) => rows + batch.rows, 0);
  assert.equal(kept + dropped, 500);
  assert.ok(kept > 200 && kept < 270, `${kept} of 4,000 B each in 1 MiB`);
  out.add('exit', exitRow(500));
  await out.close();
  assert.deepEqual(
    batches.map(({ batchSeq }) => batchSeq),
    batches.map((_, index) => index),
  );
});

test('a late digest goes the way of its row: dropped with it, kept with it', async () => {
  const { out, batches } = collector(1, 1024 * 1024);
  const zeros = (name: 'exec' | 'digest') =>
    Object.fromEntries(EVENTS[name].fields.map((field) => [field.name, ZEROS[field.kind]])) as never as Row<'exec'>;
  const ofImage = (pid: number) => ({ pid, start_ns: BigInt(pid), self_exec_id: 1, path: `/p${pid}` });
  for (let pid = 0; pid < 60; pid++) {
    const argv = String(pid).padEnd(40_000, 'x');
    out.add('exec', { ...zeros('exec'), ...ofImage(pid), argv, digest_reason: 'pending' });
  }
  for (let pid = 0; pid < 60; pid++)
    out.add('digest', { ...(zeros('digest') as never as Row<'digest'>), ...ofImage(pid), role: 'exec' });
  await out.close();
  await out.flush();
  const pids = (type: string) =>
    batches.flatMap((batch) =>
      batch.type === type ? Array.from({ length: batch.rows }, (_, row) => numberAt(batch, 'pid', row)) : [],
    );
  assert.ok(pids('exec').length > 10 && pids('exec').length < 40, `${pids('exec').length} of 40 KB each in 1 MiB`);
  assert.deepEqual(pids('digest'), pids('exec'));
  assert.equal(out.dropped().get('digest'), out.dropped().get('exec'));
});
