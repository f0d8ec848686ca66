import { Encoder } from 'cbor-x';
import type { Message } from './bus.ts';

/** Where a record stands on the bus: names it for good, as long as its topic is not deleted and made again. */
export type Origin = { readonly topic: string; readonly partition: number; readonly offset: number };

/** A record a stage could not use, with the reason, and where it came from. */
export type Dead = Origin & {
  readonly reason: string;
  readonly stage: string;
  /** What the record was published under; a replay publishes it so again. */
  readonly key: string;
  readonly bytes: Uint8Array;
};

/** Plain CBOR only: any decoder reads it, `bytes` is a byte string. */
const encoder = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false });

export const originId = ({ topic, partition, offset }: Origin): string => `${topic}:${partition}:${offset}`;

/**
 * The message for the dead-letter topic: a CBOR map of the fields of `Dead`; those of earlier versions lack `key`. The
 * message's own key is the record's origin, so a record that dies again after a crash is recognised as the same.
 */
export function deadMessage(dead: Dead): Message {
  const { reason, stage, topic, partition, offset, key, bytes } = dead;
  // cbor-x writes integers beyond 32 bits as floats unless they are BigInt.
  const value = encoder.encode({ reason, stage, topic, partition, offset: BigInt(offset), key, bytes });
  return { key: originId(dead), value };
}

/**
 * The note in the dead-letter topic that a record was published to its origin's topic again: a CBOR map of its origin and
 * `replayed_at_ms`. It has the key of the dead letters it speaks of, so it stands behind them, and lasts longer than they.
 */
export function replayedMessage({ topic, partition, offset }: Origin, atMs: number): Message {
  const value = encoder.encode({ topic, partition, offset: BigInt(offset), replayed_at_ms: BigInt(atMs) });
  return { key: originId({ topic, partition, offset }), value };
}

/** Far below what any bus takes at once: a plan of nothing but dead records would otherwise be one message too large. */
const TOGETHER_BYTES = 1024 * 1024;

/** Cuts messages into lots of at most a mebibyte; a larger message is a lot of its own. */
export function* inLots(messages: Iterable<Message>): Generator<Message[]> {
  let lot: Message[] = [];
  let bytes = 0;
  for (const message of messages) {
    if (lot.length > 0 && bytes + message.value.byteLength > TOGETHER_BYTES) {
      yield lot;
      lot = [];
      bytes = 0;
    }
    lot.push(message);
    bytes += message.value.byteLength;
  }
  if (lot.length > 0) yield lot;
}
