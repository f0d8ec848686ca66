/** Access to one column of a decoded message; texts are made printable once for each entry of the dictionary. */
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { DIGEST_BYTES, type TextColumn } from '@bintrail/schemas/column.ts';
import { printable } from '@bintrail/schemas/printable.ts';

export type TextReader = {
  /** Printable text of a row. */
  at(row: number): string;
  /** The same number for the same bytes, within this message. */
  code(row: number): number;
};

export function readTexts(batch: Batch, name: string): TextReader {
  const { dict, codes } = batch.columns.get(name) as TextColumn;
  const shown: string[] = [];
  return {
    at(row) {
      const code = codes[row]!;
      shown[code] ??= printable(dict[code]!);
      return shown[code];
    },
    code: (row) => codes[row]!,
  };
}

/** A printable list of arguments, from bytes (latin1) joined by NULs; the last may end with one too. */
export function argumentList(joined: string): string[] {
  if (joined === '') return [];
  const ended = joined.endsWith('\0') ? joined.slice(0, -1) : joined;
  return ended.split('\0').map((argument) => printable(Buffer.from(argument, 'latin1')));
}

/** The 32 bytes of a digest as a key; the same text for the same bytes. */
export function digestKey(batch: Batch, name: string, row: number): string {
  const bytes = batch.columns.get(name) as Uint8Array;
  return Buffer.from(bytes.buffer, bytes.byteOffset + row * DIGEST_BYTES, DIGEST_BYTES).toString('latin1');
}
