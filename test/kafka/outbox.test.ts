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
      const decoded = decodeBatch(value);
      assert(decoded.ok);
      const { batch } = decoded;
      const paths =
        batch.type === 'exec' ? Array.from({ length: batch.rows }, (_, row) => textAt(batch, 'path', row)) : [''];
      for (const path of paths) seen.push({ path, run: `${batch.probeEpoch}`, seq: batch.batchSeq });
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
  for (const name of ['away-1', 'away-2', 'away-3']) run(name);
  // The publish under way gives up after some 10 s; from then on messages are in the file.
  await new Promise((resolve) => setTimeout(resolve, 25_000));
  await killed(first);
  const second = await startProbe(env);
  run('next');
  await cluster.nodes[0]!.start();
  for (const name of ['away-1', 'away-2', 'away-3', 'next']) {
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
