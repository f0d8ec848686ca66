/**
 * Cuts one plan of messages into Native blocks. A pure function of the plan and of which of its messages were stored
 * before: a replay yields the same blocks, byte for byte, under the same tokens, and ClickHouse takes each one once.
 */

import type { Plan } from '@bintrail/runtime/bus.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import { type MessageRow, messageRowsBlock } from './batches-table.ts';
import { eventBlock, type StoredMessage } from './event-block.ts';
import { type DeadRecord, MAX_BLOCK_BYTES, type Message, type ReadMessage, readMessage } from './messages.ts';
import { messageKey } from './repeats.ts';

/** A complete INSERT: one block for one table, under the token that makes it count once. */
export type TableBlock = {
  readonly table: string;
  readonly token: string;
  readonly rows: number;
  readonly body: Uint8Array;
};

export type PlanOutcome = {
  readonly dead: readonly DeadRecord[];
  /** Event rows in the blocks. */
  readonly rows: number;
  /** Messages left out because an earlier offset holds them. */
  readonly repeats: number;
};

/** Most rows of one block. */
export const MAX_BLOCK_ROWS = 100_000;

type OpenBlock = { readonly index: number; readonly messages: StoredMessage[]; rows: number; sizeBytes: number };

/**
 * Yields the blocks of a plan in the order in which they are to be inserted: events first, what says that they are
 * stored (`batches`) last. `earlier` holds the {@link messageKey} of every message of the plan that stands at an offset
 * below the plan's. Only open blocks are held in memory, at most one per table.
 */
export function* planBlocks(
  plan: Plan,
  earlier: ReadonlySet<string>,
  read: ReadMessage = readMessage,
): Generator<TableBlock, PlanOutcome> {
  const seen = new Set(earlier);
  const open = new Map<EventDefinition, OpenBlock>();
  const dead: DeadRecord[] = [];
  const messages: MessageRow[] = [];
  let rows = 0;
  for (const record of plan.records) {
    const message = read(record);
    if ('reason' in message) {
      dead.push(message);
      continue;
    }
    const { header, definition } = message;
    const key = messageKey(header);
    const repeat = seen.has(key);
    seen.add(key);
    messages.push({ header, offset: record.offset, sizeBytes: record.value.length, repeat });
    if (repeat) continue;
    rows += header.rows;
    const block = open.get(definition);
    if (block !== undefined && !fits(block, message)) yield closeBlock(plan, definition, block);
    open.set(definition, addTo(block, message));
  }
  for (const definition of Object.values(EVENTS)) {
    const block = open.get(definition);
    if (block !== undefined) yield closeBlock(plan, definition, block);
  }
  if (messages.length > 0) yield messagesBlock(plan, messages);
  return { dead, rows, repeats: messages.filter(({ repeat }) => repeat).length };
}

function fits(block: OpenBlock, { span, sizeBytes }: Message): boolean {
  return block.rows + span.rows <= MAX_BLOCK_ROWS && block.sizeBytes + sizeBytes <= MAX_BLOCK_BYTES;
}

function addTo(block: OpenBlock | undefined, message: Message): OpenBlock {
  const { header, span, sizeBytes } = message;
  const { node, boot, probeEpoch } = header;
  const stored = { node, boot, probeEpoch, ...span };
  if (block === undefined || !fits(block, message)) {
    return { index: block === undefined ? 0 : block.index + 1, messages: [stored], rows: span.rows, sizeBytes };
  }
  block.messages.push(stored);
  block.rows += span.rows;
  block.sizeBytes += sizeBytes;
  return block;
}

function closeBlock(plan: Plan, definition: EventDefinition, block: OpenBlock): TableBlock {
  const body = eventBlock(definition, block.messages, plan.atMs);
  return { table: definition.table, token: blockToken(plan, definition.table, block.index), rows: block.rows, body };
}

function messagesBlock(plan: Plan, messages: readonly MessageRow[]): TableBlock {
  const body = messageRowsBlock(plan, messages);
  return { table: 'batches', token: blockToken(plan, 'batches', 0), rows: messages.length, body };
}

/** Names a block for good: the plan's bounds, the table, and which of the plan's blocks for that table it is. */
export function blockToken(plan: Plan, table: string, index: number): string {
  const name = `${plan.busId}:${plan.topic}:${plan.partition}:${plan.from}:${plan.to}:${table}`;
  return index === 0 ? name : `${name}:${index}`;
}
