import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type ISocketFactory, Kafka, type KafkaConfig, logLevel } from 'kafkajs';
import type { KafkaConnection } from './kafka-settings.ts';
import { stopIdlePolling } from './kafka-timers.ts';
import { registerZstd } from './kafka-zstd.ts';
import type { Log } from './log.ts';

/** One client of the cluster. kafkajs opens connections of its own for each producer, consumer and admin made from it. */
export type KafkaClient = {
  readonly kafka: Kafka;
  /**
   * Ends every connection and lets none be opened again: what kafkajs still does with this client then fails. Its own
   * `disconnect` waits for answers that may never come, and a consumer given up by us must not join a group again.
   */
  destroy(): void;
};

/** Brokers across an ocean answer a TCP and TLS greeting in well under this. */
const CONNECT_TIMEOUT_MS = 5_000;
/** How long one request may go unanswered; longer than the 10 s a broker may take to write to all replicas. */
const REQUEST_TIMEOUT_MS = 15_000;
/**
 * Few: kafkajs nests its retries three deep, so that five a level keep a client that was given up busy for minutes. We
 * repeat what failed ourselves, with better knowledge of what is safe.
 */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, factor: 0, multiplier: 2, retries: 2 };

export function createClient(connection: KafkaConnection, log: Log): KafkaClient {
  registerZstd();
  stopIdlePolling();
  const sockets = new Set<Socket>();
  let destroyed = false;
  const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    const name = isIP(host) ? {} : { servername: host };
    const socket = ssl
      ? connectTls({ host, port, ...name, ...ssl }, onConnect)
      : connectPlain({ host, port }, onConnect);
    socket.setKeepAlive(true, 60_000);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    if (destroyed) socket.destroy(new Error('this client was closed'));
    return socket;
  };
  const { brokers, clientId, ssl, sasl } = connection;
  const kafka = new Kafka({
    ...{ brokers: [...brokers], clientId, socketFactory },
    ...(ssl && { ssl }),
    ...(sasl && { sasl: sasl as NonNullable<KafkaConfig['sasl']> }),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: { ...RETRY, restartOnFailure: async () => false },
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => logEntry(log, entry.namespace, entry.log),
  });
  return {
    kafka,
    destroy() {
      destroyed = true;
      // With an error: kafkajs does not notice a socket that is merely closed, and keeps a timer for it for ever.
      for (const socket of sockets) socket.destroy(new Error('this client was closed'));
    },
  };
}

/** kafkajs calls everything it will try again an error; what matters reaches us as an exception or an event. */
function logEntry(
  log: Log,
  namespace: string,
  { message, ...facts }: { message: string; [fact: string]: unknown },
): void {
  const { groupId, broker, error, clientId: _, timestamp: __, logger: ___, stack: ____, ...rest } = facts;
  log.debug(
    { part: 'kafkajs', namespace, groupId, broker, error: String(error ?? ''), facts: Object.keys(rest) },
    message,
  );
}
