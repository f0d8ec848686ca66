import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROBE_MAIN } from '@bintrail/probe/launch.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { readKafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { textAt } from '@bintrail/schemas/row.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { eventually, NO_CENSUS, whyNotHere } from '../src/e2e/bintrail.ts';
import { clusterForTests } from './for-tests.ts';

const BPF_OBJECT = new URL('../../bpf/build/bintrail.bpf.o', import.meta.url);
const skip = whyNotHere() ?? (existsSync(BPF_OBJECT) ? false : 'the probe is not compiled');
const log = createLog({ level: 'fatal', name: 'test' });

async function startProbe(env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const child = fork(PROBE_MAIN, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  await new Promise<void>((resolve, reject) => {
    child.on('message', ({ kind }: { kind: string }) => kind === 'ready' && resolve());
    child.once('exit', (code) => reject(new Error(`the probe ended with ${code}`)));
  });
  return child;
}

const killed = (child: ChildProcess) =>
  new Promise((resolve) => {
    child.removeAllListeners('exit');
    child.once('exit', resolve);
    child.kill('SIGKILL');
  });

/** Waits until the probe's file holds that all of these ran. */
async function untilFiled(home: string, paths: readonly string[]): Promise<void> {
  const file = openSqliteBus({ path: join(home, 'outbox.db'), compactedTopics: [] });
  const filed = new Set<string>();
  const follower = await file.follow(TOPICS.events, (records) => {
    for (const { value } of records) for (const path of read(value).paths) filed.add(path);
  });
  await eventually('all is in the file', 60_000, async () => paths.every((path) => filed.has(path)) || undefined);
  await follower.close();
  await file.close();
}

/** A message, and the path of each row where it is of execs. */
function read(value: Uint8Array) {
  const decoded = decodeBatch(value);
  assert(decoded.ok);
  const { batch } = decoded;
  const rows = batch.type === 'exec' ? batch.rows : 0;
  return { batch, paths: Array.from({ length: rows }, (_, row) => textAt(batch, 'path', row)) };
}

test('what runs while Kafka is away reaches it later, in order, also by the next probe', { skip }, async (t) => {
  const { cluster, brokers } = await clusterForTests(t, 1);
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-outbox-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const env = {
    ...{ KAFKA_BROKERS: brokers, BINTRAIL_HOME: join(folder, 'home'), BINTRAIL_NODE: 'outbox-node' },
    ...{ BINTRAIL_OPS_PORT: '0', BINTRAIL_CENSUS: NO_CENSUS, BINTRAIL_LOG_LEVEL: 'error' },
  };
  const bus = openKafkaBus({ connection: readKafkaConnection(env, 'test'), log, onGone: () => {} });
  t.after(bus.close);
  execFileSync(process.execPath, [new URL('../../infra/kafka/topics.ts', import.meta.url).pathname], {
    env: { ...process.env, ...env, KAFKA_PARTITIONS: '1', KAFKA_REPLICATION: '1' },
    stdio: 'ignore',
  });
  const seen: { readonly path: string; readonly run: string; readonly seq: number }[] = [];
  const follower = await bus.follow(TOPICS.events, (records) => {
    for (const { value } of records) {
      const { batch, paths } = read(value);
      for (const path of batch.type === 'exec' ? paths : [''])
        seen.push({ path, run: `${batch.probeEpoch}`, seq: batch.batchSeq });
    }
  });
  t.after(follower.close);
  const run = (name: string) => {
    copyFileSync('/bin/true', join(folder, name));
    execFileSync(join(folder, name));
  };
  const arrived = (name: string) => seen.some(({ path }) => path === join(folder, name)) || undefined;

  const first = await startProbe(env);
  run('before');
  await eventually('the first program', 60_000, async () => arrived('before'));
  await cluster.nodes[0]!.signal('SIGKILL');
  const away = ['away-1', 'away-2', 'away-3'];
  for (const name of away) run(name);
  // Once the publish under way has given up, messages go to the file.
  await untilFiled(
    env.BINTRAIL_HOME,
    away.map((name) => join(folder, name)),
  );
  await killed(first);
  const second = await startProbe(env);
  run('next');
  await cluster.nodes[0]!.start();
  for (const name of [...away, 'next']) {
    await eventually(name, 60_000, async () => arrived(name));
  }
  await killed(second);
  const numbers = Map.groupBy(seen, (one) => one.run);
  assert.equal(numbers.size, 2);
  for (const ofRun of numbers.values()) {
    const distinct = [...new Set(ofRun.map(({ seq }) => seq))];
    assert.deepEqual(
      distinct,
      distinct.toSorted((a, b) => a - b),
    );
    assert.deepEqual(
      distinct,
      Array.from(distinct, (_, index) => index),
    );
  }
});
