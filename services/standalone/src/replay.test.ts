import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Transient } from '@bintrail/runtime/errors.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import { flagNames } from '@bintrail/schemas/flags.ts';
import { type Playback, type Replay, startReplay } from './replay.ts';
import { type AnyRow, packRecording, rowsOf, unpackRecording } from './replay-recording.ts';

const SAMPLE = new URL('../sample/sample.cbor.zst', import.meta.url);
const file = readFileSync(SAMPLE);
const recording = unpackRecording(file);
const DAY_NS = 86_400_000_000_000n;

const rowsIn = (batches: readonly Batch[], type: EventName) =>
  batches.filter((batch) => batch.type === type).flatMap(rowsOf);
const lastTime = (batches: readonly Batch[]) =>
  batches.flatMap(rowsOf).reduce((last, { ts }) => ((ts as bigint) > last ? (ts as bigint) : last), 0n);
const isSnapshot = (row: AnyRow) => flagNames(Number(row.flags)).includes('snapshot');

/** Plays to the end into a list. `sentAtMs` is when each message was handed over. */
async function play(more: Partial<Playback> = {}): Promise<{ batches: Batch[]; sentAtMs: number[]; replay: Replay }> {
  const batches: Batch[] = [];
  const sentAtMs: number[] = [];
  const publish: Playback['publish'] = async ({ key, value }) => {
    const decoded = decodeBatch(value);
    assert.ok(decoded.ok);
    assert.equal(key, decoded.batch.node);
    batches.push(decoded.batch);
    sentAtMs.push(Date.now());
  };
  const replay = startReplay({ recording, publish, playMs: 300, heartbeatEveryMs: 60_000, clock: Date.now, ...more });
  await replay.played;
  return { batches, sentAtMs, replay };
}

test('the sample is small, complete, and of no machine in particular', () => {
  assert.ok(file.length < 1_000_000, `${file.length} bytes`);
  assert.deepEqual(new Set(recording.map(({ node }) => node)), new Set(['sample-host']));
  assert.deepEqual(
    recording.map(({ batchSeq }) => batchSeq),
    [...recording.keys()],
  );
  // Looks at all processes, and what else ran, are of the machine it was recorded on.
  const without = ['census', 'alive'];
  for (const type of Object.keys(EVENTS) as EventName[]) {
    assert.equal(rowsIn(recording, type).length === 0, without.includes(type), type);
  }
  const texts = recording
    .flatMap(rowsOf)
    .flatMap((row) => Object.values(row).filter((value) => typeof value === 'string'));
  assert.ok(texts.some((text) => text.includes('[redacted]')));
  for (const text of texts) assert.doesNotMatch(text, /hunter2|^\/(work|home|root|mnt|opt)\b/);
});

test('the sample holds what a probe sees: scripts, libraries, changes to code, and a container by its name', () => {
  const [loads, execs] = [rowsIn(recording, 'load'), rowsIn(recording, 'exec')];
  const evidence = new Set(loads.filter(({ role }) => role === 'script').map((row) => row.script_evidence));
  for (const word of ['executed', 'read']) assert.ok(evidence.has(word), word);
  assert.ok(loads.some(({ role, path }) => role === 'library' && String(path).endsWith('/libtrace.so')));
  assert.ok(rowsIn(recording, 'file').some(({ path }) => String(path).endsWith('/tmp/busybox-update')));
  const [container] = rowsIn(recording, 'container');
  assert.deepEqual([container?.container_name, container?.workload], ['till', 'container/podman/till']);
  const inside = execs.filter(({ container_id }) => container_id === container?.container_id);
  assert.ok(inside.some(({ path, written_ns }) => path === '/tmp/busybox-update' && written_ns !== 0n));
});

test('all of the sample is played, in order, under a name and on a boot of its own', async () => {
  const { batches, replay } = await play();
  await replay.close();
  assert.deepEqual(
    batches.map(({ type, rows, batchSeq }) => [type, rows, batchSeq]),
    recording.map(({ type, rows }, seq) => [type, rows, seq]),
  );
  assert.deepEqual(new Set(batches.map(({ node }) => node)), new Set(['replay:sample-host']));
  assert.equal(new Set(batches.map(({ boot, probeEpoch }) => `${boot} ${probeEpoch}`)).size, 1);
  assert.notEqual(batches[0]!.boot, recording[0]!.boot);
  assert.deepEqual(new Set(rowsIn(batches, 'heartbeat').map(({ mode }) => mode)), new Set(['replay']));
});

test('a second replay is another run on another boot', async () => {
  const [one, two] = await Promise.all([play(), play({ clock: () => Date.now() + 1 })]);
  await Promise.all([one.replay.close(), two.replay.close()]);
  assert.notEqual(one.batches[0]!.boot, two.batches[0]!.boot);
  assert.notEqual(one.batches[0]!.probeEpoch, two.batches[0]!.probeEpoch);
});

test('times move together, so that the sample ends now and nothing is sent before it happened', async () => {
  const { batches, sentAtMs, replay } = await play();
  await replay.close();
  const shift = lastTime(batches) - lastTime(recording);
  const agoNs = BigInt(Date.now()) * 1_000_000n - lastTime(batches);
  assert.ok(agoNs >= 0n && agoNs < DAY_NS, `it ended ${agoNs} ns ago`);
  for (const [index, batch] of batches.entries()) {
    const before = rowsOf(recording[index]!);
    for (const [row, now] of rowsOf(batch).entries()) {
      for (const time of ['ts', 'event_ts', 'ctime_ns', 'mtime_ns', 'written_ns']) {
        const was = before[row]![time];
        if (was !== undefined) assert.equal(now[time], was === 0n ? 0n : (was as bigint) + shift, time);
      }
      for (const name of ['start_ns', 'pid', 'sha256', 'argv']) assert.equal(now[name], before[row]![name], name);
      assert.ok((now.ts as bigint) <= BigInt(sentAtMs[index]! + 1) * 1_000_000n, 'sent before it happened');
    }
  }
});

test('afterwards signs of life go on, and end with the replay', async () => {
  const { batches, replay } = await play({ heartbeatEveryMs: 5 });
  while (batches.length < recording.length + 3) await new Promise((resolve) => setTimeout(resolve, 5));
  await replay.close();
  const sent = batches.length;
  const [earlier, later] = rowsIn(batches, 'heartbeat').slice(-2);
  assert.equal(later!.seq, (earlier!.seq as bigint) + 1n);
  assert.ok((later!.ts as bigint) > (earlier!.ts as bigint));
  assert.deepEqual(
    batches.map(({ batchSeq }) => batchSeq),
    [...batches.keys()],
  );
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(batches.length, sent);
});

test('a bus that is away for a moment misses nothing, a bug ends the replay', async () => {
  let refusals = 1;
  let taken = 0;
  const publish = async () => {
    if (refusals-- > 0) throw new Transient('away');
    taken += 1;
  };
  const { replay } = await play({ publish });
  await replay.close();
  assert.equal(taken, recording.length);
  const broken = async () => Promise.reject(new TypeError('a bug'));
  const failed = startReplay({ recording, publish: broken, playMs: 1, heartbeatEveryMs: 1_000, clock: Date.now });
  await assert.rejects(failed.done, TypeError);
});

test('closed in the middle it stops there', async () => {
  let taken = 0;
  const publish = async () => {
    taken += 1;
  };
  const replay = startReplay({ recording, publish, playMs: 60_000, heartbeatEveryMs: 1_000, clock: Date.now });
  await replay.close();
  await replay.done;
  assert.ok(taken < recording.length);
});

test('a damaged recording is refused', () => {
  assert.throws(() => unpackRecording(file.subarray(0, file.length / 2)));
  assert.throws(() => unpackRecording(packRecording([Buffer.from('no message')])), /message 0 of the recording/);
});

test('processes from before the recording are its roots, and everything else has a parent in it', () => {
  const execs = rowsIn(recording, 'exec');
  const processes = new Set(execs.map(({ pid, start_ns }) => `${pid}:${start_ns}`));
  for (const row of execs) {
    const hasParent = processes.has(`${row.parent_pid}:${row.parent_start_ns}`);
    assert.equal(hasParent, !isSnapshot(row), String(row.path));
  }
});
