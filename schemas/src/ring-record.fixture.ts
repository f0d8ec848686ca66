/** Ring records as the kernel writes them, by the same layout the C header is generated from. */
import { NUMBER_FORMATS } from './column.ts';
import { RECORD_HEADER_BYTES, type RecordDefinition, recordLayout } from './layout.ts';

export type AnyRow = Readonly<Record<string, number | bigint | string>>;

/** One record without the ring's own 8 bytes: head, numbers, lengths of the texts, and the texts. */
export function ringRecord(definition: RecordDefinition, row: AnyRow, bootNs: bigint): Buffer {
  const layout = recordLayout(definition);
  const texts = layout.texts.map(({ name }) => Buffer.from(row[name] as string, 'latin1'));
  const record = Buffer.alloc(layout.sizeBytes + texts.reduce((sum, text) => sum + text.length, 0));
  record.writeUInt32LE(definition.id, 0);
  record.writeUInt32LE(row.cpu as number, 4);
  record.writeBigUInt64LE(row.cpu_seq as bigint, 8);
  record.writeBigUInt64LE(bootNs, RECORD_HEADER_BYTES - 8);
  for (const { name, kind, offset } of layout.numbers) {
    const value = row[name]!;
    if (NUMBER_FORMATS[kind].sizeBytes === 8) record.writeBigUInt64LE(value as bigint, offset);
    else if (kind === 'i32') record.writeInt32LE(value as number, offset);
    else if (kind === 'u32') record.writeUInt32LE(value as number, offset);
    else throw new Error(`no kernel field was ever a ${kind}: write ${name} here as well`);
  }
  let at = layout.sizeBytes;
  for (const [index, { offset }] of layout.texts.entries()) {
    record.writeUInt16LE(texts[index]!.length, offset);
    at += texts[index]!.copy(record, at);
  }
  return record;
}
