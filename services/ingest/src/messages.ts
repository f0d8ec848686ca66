/** Records of the bus as messages: decoded ahead of their plan where there is time, and never twice. */
import type { Ahead, BusRecord } from '@bintrail/runtime/bus.ts';
import { type MakeArena, openArena, reusedArena } from '@bintrail/schemas/batch-arena.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import { chunkOf, createGather, type Gather, MAX_GATHERED_ROWS, type Span } from './chunk.ts';
import { expandedSizeBytes } from './event-block.ts';

/** A record that is no message, and why. */
export type DeadRecord = { readonly record: BusRecord; readonly reason: string; readonly detail: string };

/** A message without its columns. */
export type MessageHeader = Omit<Batch, 'columns'>;

export type Message = {
  readonly header: MessageHeader;
  readonly definition: EventDefinition;
  /** Its rows. */
  readonly span: Span;
  /** With all texts written out. */
  readonly sizeBytes: number;
};

export type ReadMessage = (record: BusRecord) => Message | DeadRecord;

/** Most bytes of one block. Its rows are counted with their texts written out, as the roll-ups read them. */
export const MAX_BLOCK_BYTES = 64 * 1024 * 1024;

/** Decoded and not yet asked for: what a plan of ordinary messages takes four times over. */
const MAX_AHEAD_BYTES = 128 * 1024 * 1024;

/** `gather` copies the columns of what `makeArena` uses again. */
export function readMessage(
  record: BusRecord,
  gather: Gather = chunkOf,
  makeArena: MakeArena = openArena,
): Message | DeadRecord {
  const decoded = decodeBatch(record.value, makeArena);
  if (!decoded.ok) return { record, reason: decoded.reason, detail: decoded.detail };
  const { batch } = decoded;
  const definition = EVENTS[batch.type];
  const sizeBytes = expandedSizeBytes(definition, batch);
  if (sizeBytes > MAX_BLOCK_BYTES) {
    return { record, reason: 'too_large', detail: `${batch.rows} rows stand for ${sizeBytes} bytes` };
  }
  const { columns: _, ...header } = batch;
  return { header, definition, span: gather(definition, batch), sizeBytes };
}

export type MessageReader = Ahead & {
  /** Decodes what will be asked for later; does nothing once {@link MAX_AHEAD_BYTES} wait. */
  readonly prepare: (records: readonly BusRecord[]) => void;
  /** What was decoded ahead, which is still there for `read`. */
  readonly peek: (record: BusRecord) => Message | DeadRecord | undefined;
  /** The message of a record, which is then forgotten. */
  readonly read: ReadMessage;
};

export function createMessageReader(): MessageReader {
  const gather = createGather();
  const makeArena = reusedArena(MAX_GATHERED_ROWS);
  const waiting = new Map<BusRecord, Message | DeadRecord>();
  let waitingBytes = 0;
  const taken = (record: BusRecord): Message | DeadRecord | undefined => {
    const message = waiting.get(record);
    if (message === undefined) return undefined;
    waiting.delete(record);
    waitingBytes -= sizeOf(message);
    return message;
  };
  return {
    prepare(records) {
      for (const record of records) {
        if (waitingBytes > MAX_AHEAD_BYTES) return;
        if (waiting.has(record)) continue;
        const message = readMessage(record, gather, makeArena);
        waiting.set(record, message);
        waitingBytes += sizeOf(message);
      }
    },
    forget: (records) => records.forEach(taken),
    peek: (record) => waiting.get(record),
    read: (record) => taken(record) ?? readMessage(record, gather, makeArena),
  };
}

function sizeOf(message: Message | DeadRecord): number {
  return 'reason' in message ? 0 : message.sizeBytes;
}
