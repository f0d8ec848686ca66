/**
 * Writes schemas/golden/*.cbor: one message per event, from the rows beside it. They show others the format, and show
 * us that a message of an older version still reads: a field added later is left out and changes no byte.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { encodeBatch } from '../batch-encode.ts';
import { isTextKind, NUMBER_FORMATS } from '../column.ts';
import { eventByName } from '../events.ts';
import type { EventDefinition, Field, RowOf } from '../field.ts';

/** Rows as JSON: 64-bit numbers in decimal, texts as latin1, digests in hex; what is zero or empty is left out. */
export type GoldenMessage = {
  readonly type: string;
  readonly node: string;
  readonly boot: string;
  readonly probe_epoch: string;
  readonly batch_seq: number;
  readonly rows: readonly Readonly<Record<string, string | number>>[];
};

const FOLDER = new URL('../../golden/', import.meta.url);

export function goldenFiles(): { readonly path: URL; readonly content: Uint8Array }[] {
  const sources = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
  return sources.map((name) => ({
    path: new URL(name.replace(/json$/, 'cbor'), FOLDER),
    content: encodeGolden(JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'))),
  }));
}

function encodeGolden({ type, node, boot, probe_epoch, batch_seq, rows }: GoldenMessage): Uint8Array {
  const definition = eventByName(type);
  if (definition === undefined) throw new Error(`no event is named ${type}`);
  const header = { node, boot, probeEpoch: BigInt(probe_epoch), batchSeq: batch_seq };
  return encodeBatch(
    definition,
    header,
    rows.map((row) => goldenRow(definition, row)),
  );
}

function goldenRow(definition: EventDefinition, row: GoldenMessage['rows'][number]): RowOf<EventDefinition> {
  return Object.fromEntries(definition.fields.map((field) => [field.name, goldenValue(field, row[field.name])]));
}

function goldenValue({ kind }: Field, value: string | number | undefined): string | number | bigint {
  if (kind === 'digest') return Buffer.from(String(value ?? ''), 'hex').toString('latin1');
  if (isTextKind(kind)) return String(value ?? '');
  return NUMBER_FORMATS[kind].sizeBytes === 8 ? BigInt(value ?? 0) : Number(value ?? 0);
}
