import { Encoder } from 'cbor-x';
import type { Message } from './bus.ts';

/** A record a stage could not use, with the reason, and where it came from. */
export type Dead = {
  readonly reason: string;
  readonly stage: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
};

/** Plain CBOR only: any decoder reads it, `bytes` is a byte string. */
const encoder = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false });

/**
 * The message for the dead-letter topic: a CBOR map of the fields of `Dead`. The key is the record's origin, so a
 * record that dies again after a crash is recognised as the same.
 */
export function deadMessage(dead: Dead): Message {
  const { reason, stage, topic, partition, offset, bytes } = dead;
  // cbor-x writes integers beyond 32 bits as floats unless they are BigInt.
  const value = encoder.encode({ reason, stage, topic, partition, offset: BigInt(offset), bytes });
  return { key: `${topic}:${partition}:${offset}`, value };
}
