import { SetupError, Transient } from './errors.ts';

/** kafkajs' errors carry `name`, and those that repeat a broker's answer its `type` and `code` (protocol guide, "Error Codes"). */
type KafkaFault = {
  readonly name?: string;
  readonly code?: unknown;
  readonly cause?: unknown;
  readonly retriable?: unknown;
};

/** Faults of the connection, and of what a client knows of its cluster. */
const HEALING_NAMES = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
  'KafkaJSStaleTopicMetadataAssignment',
  'KafkaJSGroupCoordinatorNotFound',
  'KafkaJSTimeout',
  'KafkaJSLockTimeout',
]);

const UNKNOWN_TOPIC_OR_PARTITION = 3;
const ILLEGAL_GENERATION = 22;
const UNKNOWN_MEMBER_ID = 25;
const REBALANCE_IN_PROGRESS = 27;
/** TOPIC, GROUP and CLUSTER _AUTHORIZATION_FAILED, SASL_AUTHENTICATION_FAILED, TRANSACTIONAL_ID_AUTHORIZATION_FAILED. */
const DENIED = new Set([29, 30, 31, 53, 58]);
/**
 * Those kafkajs calls final, and that heal all the same: BROKER_NOT_AVAILABLE; a coordinator that moves (14, 15, 16);
 * membership that a next join renews (22, 25, 27); a producer's session that a new one replaces (45, 46, 47, 59, 90), and
 * likewise a transaction's (48, 49, 51).
 */
const HEALING_CODES = new Set([
  8,
  14,
  15,
  16,
  ILLEGAL_GENERATION,
  UNKNOWN_MEMBER_ID,
  REBALANCE_IN_PROGRESS,
  45,
  46,
  47,
  48,
  49,
  51,
  59,
  90,
]);
const OUT_OF_MEMBERSHIP = new Set([ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS]);

/** kafkajs wraps the cause of its last try, and of that again; of several topics it gathers the errors of each. */
function* causes(error: unknown): Generator<KafkaFault> {
  for (let each = error; each instanceof Error; each = each.cause) {
    yield each as KafkaFault;
    if ('errors' in each && Array.isArray(each.errors)) for (const one of each.errors) yield* causes(one);
  }
}

const protocolCode = (fault: KafkaFault): number | undefined =>
  typeof fault.code === 'number' ? fault.code : undefined;

/** @returns what the fault means to a caller of the bus: Transient, SetupError, or the error itself, which is a bug then */
export function busFault(error: unknown, doing: string): unknown {
  if (error instanceof Transient || error instanceof SetupError) return error;
  for (const fault of causes(error)) {
    const code = protocolCode(fault);
    if (fault.name === 'KafkaJSSASLAuthenticationError' || (code !== undefined && DENIED.has(code))) {
      return new SetupError(`Kafka refuses us, ${doing}`, 'check KAFKA_SASL_… and the rights of that user');
    }
    if (code === UNKNOWN_TOPIC_OR_PARTITION) {
      return new SetupError(`Kafka lacks the topic, ${doing}`, 'npm run topics creates what is missing');
    }
    const heals =
      HEALING_NAMES.has(fault.name ?? '') || (code !== undefined && (HEALING_CODES.has(code) || fault.retriable));
    if (heals) return new Transient(`Kafka is not available, ${doing}`, { cause: error });
  }
  return error;
}

/** Whether a broker says that this member, or its generation, no longer counts. */
export function isOutOfMembership(error: unknown): boolean {
  return [...causes(error)].some((fault) => OUT_OF_MEMBERSHIP.has(protocolCode(fault) ?? -1));
}
