import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { createClient } from '@bintrail/runtime/kafka-client.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { startKafka, whyNoKafka } from './broker.ts';

const skip = whyNoKafka() ?? false;
const log = createLog({ level: 'silent', name: 'test' });
const CHILD = `
  import { startKafka } from ${JSON.stringify(new URL('./broker.ts', import.meta.url).href)};
  const { brokers } = await startKafka({ brokers: 1, folder: process.argv[1] });
  console.log(brokers);
  setInterval(() => {}, 1000);`;

const topicsOf = async (brokers: string): Promise<string[]> => {
  const client = createClient({ brokers: brokers.split(','), clientId: 'test', prefix: '' }, log);
  const admin = client.kafka.admin();
  await admin.connect();
  const topics = await admin.listTopics();
  await admin.disconnect();
  return topics;
};

test('a broker ends with the process that started it, and its data is there at the next start', { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-kafka-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [brokers] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const client = createClient({ brokers: [brokers], clientId: 'test', prefix: '' }, log);
  const admin = client.kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'kept' }] });
  client.destroy();
  child.kill('SIGKILL');
  await once(child, 'exit');

  // A broker that lived on would hold the lock of its data, and this one would not start.
  const again = await startKafka({ brokers: 1, folder });
  t.after(again.stop);
  assert.deepEqual(await topicsOf(again.brokers), ['kept']);
  assert(existsSync(join(folder, 'node-1/server.log')));
});
