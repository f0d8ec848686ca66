import { parsePrintable } from '@bintrail/schemas/printable.ts';

/**
 * Bytes, in hex, that a printable text may stand for in the store: itself, and read back. They differ where a name holds
 * a literal \xNN, as systemd's escaped units do, which is shown the same as one with that byte: both are meant.
 */
export function spellings(text: string): readonly [plain: string, bytes: string] {
  return [Buffer.from(text).toString('hex'), Buffer.from(parsePrintable(text)).toString('hex')];
}
