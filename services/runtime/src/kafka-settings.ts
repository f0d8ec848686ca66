import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import {
  durationMs,
  type Env,
  flag,
  oneOf,
  optional,
  type Parser,
  readConfig,
  required,
  setting,
  text,
} from './config.ts';
import { SetupError } from './errors.ts';

/** How to reach a cluster. Holds secrets: never log it. */
export type KafkaConnection = {
  /** `host:port` of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[];
  /** Shows in the brokers' logs and quotas. */
  readonly clientId: string;
  readonly ssl?: ConnectionOptions | undefined;
  readonly sasl?: { readonly mechanism: Mechanism; readonly username: string; readonly password: string } | undefined;
  /** Put before the name of each topic and group, so that several Bintrails share a cluster. */
  readonly prefix: string;
  /** A process of a group that says nothing for so long is dead, and others get its partitions. */
  readonly sessionTimeoutMs?: number;
};

type Mechanism = 'plain' | 'scram-sha-256' | 'scram-sha-512';

const brokerList: Parser<readonly string[]> = {
  allowed: 'a list of host:port, separated by commas',
  parse(value) {
    const brokers = value.split(',').map((broker) => broker.trim());
    const fine = (broker: string) => {
      const [, port] = /^(?:[\w.-]+|\[[\da-fA-F:]+\]):(\d{1,5})$/.exec(broker) ?? [];
      return Number(port) > 0 && Number(port) < 65_536;
    };
    return brokers.every(fine) ? brokers : undefined;
  },
};

/** What Kafka allows in names of topics, less what leaves room for ours (249 in all). */
const prefix: Parser<string> = {
  allowed: 'at most 100 letters, digits, dots, dashes and underscores',
  parse: (value) => (/^[\w.-]{1,100}$/.test(value) ? value : undefined),
};

const SPEC = {
  brokers: required('KAFKA_BROKERS', brokerList),
  prefix: setting('KAFKA_PREFIX', prefix, ''),
  /** A stage whose event loop stands still for a while keeps its partitions; a dead one is replaced within a minute. */
  sessionTimeoutMs: setting('KAFKA_SESSION_TIMEOUT', durationMs, 30_000),
  tls: setting('KAFKA_TLS', flag, false),
  caFile: optional('KAFKA_TLS_CA_FILE', text),
  certFile: optional('KAFKA_TLS_CERT_FILE', text),
  keyFile: optional('KAFKA_TLS_KEY_FILE', text),
  mechanism: optional('KAFKA_SASL_MECHANISM', oneOf('plain', 'scram-sha-256', 'scram-sha-512')),
  username: optional('KAFKA_SASL_USERNAME', text),
  password: optional('KAFKA_SASL_PASSWORD', text),
  passwordFile: optional('KAFKA_SASL_PASSWORD_FILE', text),
};

/**
 * Reads the `KAFKA_…` settings. `plain` without TLS would send the password readably, and is refused.
 * @throws SetupError naming what is missing, wrong or contradicts another; never with a value in it
 */
export function readKafkaConnection(env: Env, clientId: string): KafkaConnection {
  const config = readAll(env);
  const { brokers, prefix, sessionTimeoutMs } = config;
  return { brokers, clientId, prefix, sessionTimeoutMs, ssl: readTls(config), sasl: readSasl(config) };
}

const readAll = (env: Env) => readConfig(env, SPEC);
type Config = ReturnType<typeof readAll>;

function readTls({ tls, caFile, certFile, keyFile }: Config): ConnectionOptions | undefined {
  if (!tls) {
    if (caFile || certFile || keyFile)
      throw contradiction('KAFKA_TLS_… files are set', 'set KAFKA_TLS to true as well');
    return undefined;
  }
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw contradiction('KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE belong together', 'set both, or neither');
  }
  return {
    ...(caFile && { ca: readSecret('KAFKA_TLS_CA_FILE', caFile) }),
    ...(certFile && { cert: readSecret('KAFKA_TLS_CERT_FILE', certFile) }),
    ...(keyFile && { key: readSecret('KAFKA_TLS_KEY_FILE', keyFile) }),
  };
}

function readSasl({ tls, mechanism, username, password, passwordFile }: Config): KafkaConnection['sasl'] {
  if (mechanism === undefined) {
    if (username ?? password ?? passwordFile)
      throw contradiction('KAFKA_SASL_… is set without KAFKA_SASL_MECHANISM', 'set it, or none of them');
    return undefined;
  }
  if (mechanism === 'plain' && !tls) {
    throw contradiction(
      'KAFKA_SASL_MECHANISM plain sends the password readably',
      'set KAFKA_TLS to true, or use scram',
    );
  }
  const secret = passwordFile ? readSecret('KAFKA_SASL_PASSWORD_FILE', passwordFile).trimEnd() : password;
  if (username && secret) return { mechanism, username, password: secret };
  throw contradiction(
    'KAFKA_SASL_MECHANISM is set without a name and a password',
    'set KAFKA_SASL_USERNAME, and KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE',
  );
}

function readSecret(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new SetupError(`the file named by ${setting} cannot be read`, 'name a file this user may read');
  }
}

const contradiction = (fault: string, remedy: string) => new SetupError(fault, remedy);
