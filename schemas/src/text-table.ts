/**
 * Byte strings met before: found again by a hash of their bytes, told apart by the bytes themselves, and never decoded
 * or copied a second time while they are remembered.
 */
import { addEntry, countEntry, createEraTable } from './era-table.ts';

export type Text = {
  readonly hash: number;
  next: Text | undefined;
  era: number;
  readonly bytes: Uint8Array;
  /** The batch in which `code` stands for these bytes. */
  batch: number;
  code: number;
  /** What the owner of the table worked out from these bytes; undefined until then. */
  memo: unknown;
};

export type TextTable = {
  /** The text of source[from, to). */
  readonly intern: (source: Uint8Array, from: number, to: number) => Text;
  readonly internLatin1: (text: string) => Text;
  /** This table's text of the same bytes as one of any table: they are neither hashed nor copied again. */
  readonly own: (text: Text) => Text;
};

/** What a text counts for besides its bytes, and how much of both an era may hold. */
const TEXT_BYTES = 128;
const ERA_BYTES = 1024 * 1024;

// Known to nobody, so that no program can choose arguments that share a bucket.
const SEED = Math.floor(Math.random() * 0x1_0000_0000) | 0;

/** Mixes one word into a 32-bit hash: multiply and rotate as in MurmurHash3, A. Appleby. */
export function mixHash(hash: number, word: number): number {
  let mixed = Math.imul(word, 0xcc9e2d51);
  mixed = (mixed << 15) | (mixed >>> 17);
  mixed = hash ^ Math.imul(mixed, 0x1b873593);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/** The last step: buckets are chosen by the lowest bits. */
export function finishHash(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return mixed ^ (mixed >>> 13);
}

/** A hash nobody outside of this process can foresee. */
export function hashBytes(bytes: Uint8Array, from: number, to: number): number {
  let hash = SEED ^ (to - from);
  let at = from;
  for (; at + 4 <= to; at += 4) {
    hash = mixHash(hash, bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
  }
  let rest = 0;
  for (; at < to; at++) rest = (rest << 8) | bytes[at]!;
  return finishHash(mixHash(hash, rest));
}

/** Whether a text has these bytes. */
export function hasBytes({ bytes }: Text, source: Uint8Array, from: number, to: number): boolean {
  const length = to - from;
  if (bytes.length !== length) return false;
  for (let at = 0; at < length; at++) if (bytes[at] !== source[from + at]) return false;
  return true;
}

/** The bytes as a string of one character each. */
export function latin1({ bytes }: Text): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function createTextTable(): TextTable {
  const table = createEraTable<Text>(ERA_BYTES);
  let scratch = Buffer.allocUnsafeSlow(256);

  const find = (hash: number, source: Uint8Array, from: number, to: number): Text | undefined => {
    for (let text = table.buckets[hash & table.mask]; text !== undefined; text = text.next) {
      if (text.hash !== hash || !hasBytes(text, source, from, to)) continue;
      if (text.era !== table.era) countEntry(table, text, TEXT_BYTES + to - from);
      return text;
    }
    return undefined;
  };
  const add = (hash: number, bytes: Uint8Array): Text => {
    const text: Text = { hash, next: undefined, era: 0, bytes, batch: -1, code: 0, memo: undefined };
    addEntry(table, text, TEXT_BYTES + bytes.length);
    return text;
  };
  const intern = (source: Uint8Array, from: number, to: number): Text => {
    const hash = hashBytes(source, from, to);
    // Not the source's own `slice`: that of a Buffer is a view.
    return find(hash, source, from, to) ?? add(hash, Uint8Array.prototype.slice.call(source, from, to));
  };
  const own = ({ hash, bytes }: Text): Text => find(hash, bytes, 0, bytes.length) ?? add(hash, bytes);
  const internLatin1 = (text: string): Text => {
    if (text.length > scratch.length) scratch = Buffer.allocUnsafeSlow(2 * text.length);
    return intern(scratch, 0, scratch.write(text, 'latin1'));
  };
  return { intern, internLatin1, own };
}
