import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { readKafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { whyNoKafka } from './broker.ts';
import { clusterForTests } from './for-tests.ts';

const skip = whyNoKafka() ?? false;
const SECRET = 'correct-horse-battery';

/** A key for 127.0.0.1 that nobody's authority signed, and its certificate. */
function makeKey(folder: string): { store: string; certificate: string } {
  const store = join(folder, 'broker.p12');
  const certificate = join(folder, 'broker.pem');
  const common = ['-alias', 'broker', '-keystore', store, '-storetype', 'PKCS12', '-storepass', SECRET];
  const name = ['-dname', 'CN=127.0.0.1', '-ext', 'SAN=IP:127.0.0.1', '-validity', '2'];
  execFileSync('keytool', ['-genkeypair', '-keyalg', 'RSA', '-keysize', '2048', ...name, ...common], {
    stdio: 'ignore',
  });
  execFileSync('keytool', ['-exportcert', '-rfc', '-file', certificate, ...common], { stdio: 'ignore' });
  return { store, certificate };
}

test('SASL over TLS: the right password publishes, a wrong one is a matter of set-up, and no log holds either', {
  skip,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kafka-secured-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { store, certificate } = makeKey(folder);
  const module = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
  const { brokers } = await clusterForTests(t, 1, {
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_SSL',
    'inter.broker.listener.name': 'PLAINTEXT',
    'sasl.enabled.mechanisms': 'PLAIN',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'listener.name.plaintext.plain.sasl.jaas.config': `${module} username="b" password="${SECRET}" user_b="${SECRET}" user_bintrail="${SECRET}";`,
    'listener.name.plaintext.ssl.keystore.type': 'PKCS12',
    'listener.name.plaintext.ssl.keystore.location': store,
    'listener.name.plaintext.ssl.keystore.password': SECRET,
    'listener.name.plaintext.ssl.truststore.type': 'PEM',
    'listener.name.plaintext.ssl.truststore.location': certificate,
  });
  const settings = (password: string) => ({
    KAFKA_BROKERS: brokers,
    KAFKA_TLS: 'true',
    KAFKA_TLS_CA_FILE: certificate,
    KAFKA_SASL_MECHANISM: 'plain',
    KAFKA_SASL_USERNAME: 'bintrail',
    KAFKA_SASL_PASSWORD: password,
  });
  const lines: string[] = [];
  const log = createLog({ level: 'debug', name: 'test', write: (line) => lines.push(line) });
  const shape = { name: 't', partitions: 1, compacted: false, retentionMs: 3_600_000 };
  const right = readKafkaConnection(settings(SECRET), 'test');
  await ensureTopics(right, [shape], log);
  const bus = openKafkaBus({ connection: right, log });
  await bus.publish('t', [{ key: 'k', value: Buffer.from('a') }]);
  assert.equal((await bus.lag('t', 'g')).records, 1);
  await bus.close();

  const wrong = readKafkaConnection(settings(`not-${SECRET}`), 'test');
  const refused = openKafkaBus({ connection: wrong, log });
  await assert.rejects(refused.publish('t', [{ key: 'k', value: Buffer.from('b') }]), SetupError);
  await refused.close();
  assert(lines.length > 0);
  assert(!lines.some((line) => line.includes(SECRET)));
});
