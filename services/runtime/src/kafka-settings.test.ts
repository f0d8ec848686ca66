import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SetupError } from './errors.ts';
import { readKafkaConnection } from './kafka-settings.ts';

const SECRET = 'correct-horse';
const read = (env: Record<string, string>) => readKafkaConnection(env, 'probe');

test('brokers are enough', () => {
  assert.deepEqual(read({ KAFKA_BROKERS: 'a.example:9092, 10.0.0.1:9093,[::1]:9094' }), {
    brokers: ['a.example:9092', '10.0.0.1:9093', '[::1]:9094'],
    clientId: 'probe',
    prefix: '',
    sessionTimeoutMs: 30_000,
    ssl: undefined,
    sasl: undefined,
  });
});

test('SASL over TLS, with secrets from files', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kafka-settings-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const { ssl, sasl } = read({
    KAFKA_BROKERS: 'a:1',
    KAFKA_TLS: 'true',
    KAFKA_TLS_CA_FILE: file('ca', 'CA'),
    KAFKA_TLS_CERT_FILE: file('cert', 'CERT'),
    KAFKA_TLS_KEY_FILE: file('key', 'KEY'),
    KAFKA_SASL_MECHANISM: 'plain',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD_FILE: file('password', `${SECRET}\n`),
  });
  assert.deepEqual(ssl, { ca: 'CA', cert: 'CERT', key: 'KEY' });
  assert.deepEqual(sasl, { mechanism: 'plain', username: 'u', password: SECRET });
});

const B = { KAFKA_BROKERS: 'a:1' };
const wrong: Record<string, Record<string, string>> = {
  'no brokers': {},
  'no port': { KAFKA_BROKERS: 'a' },
  'a port that is none': { KAFKA_BROKERS: 'a:70000' },
  'a URL': { KAFKA_BROKERS: 'kafka://a:1' },
  'a prefix Kafka does not allow': { ...B, KAFKA_PREFIX: 'a/b' },
  'TLS files without TLS': { ...B, KAFKA_TLS_CA_FILE: '/x' },
  'a certificate without its key': { ...B, KAFKA_TLS: 'true', KAFKA_TLS_CERT_FILE: '/x' },
  'a file that is not there': { ...B, KAFKA_TLS: 'true', KAFKA_TLS_CA_FILE: '/nowhere/ca' },
  'a password without a mechanism': { ...B, KAFKA_SASL_PASSWORD: SECRET },
  'a mechanism without a name': { ...B, KAFKA_SASL_MECHANISM: 'scram-sha-256', KAFKA_SASL_PASSWORD: SECRET },
  'a mechanism kafkajs has not': { ...B, KAFKA_SASL_MECHANISM: 'gssapi', KAFKA_SASL_PASSWORD: SECRET },
  'a readable password': {
    ...B,
    KAFKA_SASL_MECHANISM: 'plain',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD: SECRET,
  },
};
for (const [what, env] of Object.entries(wrong)) {
  test(`${what} is refused, without a secret in the words`, () => {
    assert.throws(
      () => read(env),
      (error) => error instanceof SetupError && !`${error.message}${error.remedy}`.includes(SECRET),
    );
  });
}
