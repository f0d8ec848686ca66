/** CBOR in the diagnostic notation of RFC 8949 §8 (byte strings as text where they are: RFC 8610 appendix G.1). */
import {
  MAJOR,
  openReader,
  peekMajor,
  type Reader,
  Refusal,
  readBytes,
  readHead,
  readText,
} from '@bintrail/schemas/cbor-reader.ts';
import { printable } from '@bintrail/schemas/printable.ts';

/** Beyond these a person reads no further, and who made the bytes may have meant to fill the screen. */
const MAX_DEPTH = 16;
const MAX_ITEMS = 16;
const MAX_ENTRIES = 200;
const MAX_TEXT = 200;
const MAX_HEX_BYTES = 32;

const SIMPLE = 7;

/**
 * As far as the bytes decode, and where they stop doing so. Never throws; nothing in it can control a terminal. Numbers
 * that are keys of the outermost map have `names` beside them as comments (RFC 8610 appendix G.6).
 */
export function diagnostic(bytes: Uint8Array, names: ReadonlyMap<number, string> = new Map()): string {
  const reader = openReader(bytes);
  const out: string[] = [];
  try {
    if (bytes.length > 0 && peekMajor(reader) === MAJOR.map) writeMap(reader, out, 0, names);
    else writeItem(reader, out, 0);
    const left = bytes.length - reader.at;
    if (left > 0) out.push(`\n… and ${left} bytes that belong to nothing`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    out.push(`\n… no further: ${printable(Buffer.from(error.message))}`);
  }
  return out.join('');
}

type Out = { push(text: string): unknown };
const NOWHERE: Out = { push() {} };

function writeItem(reader: Reader, out: Out, depth: number): void {
  if (depth > MAX_DEPTH) throw new Refusal('out_of_range', `nested deeper than ${MAX_DEPTH} at byte ${reader.at}`);
  const major = peekMajor(reader);
  if (major === MAJOR.uint) out.push(`${readHead(reader, major)}`);
  else if (major === MAJOR.negative) out.push(`${-1n - readHead(reader, major)}`);
  else if (major === MAJOR.bytes) out.push(shownBytes(readBytes(reader)));
  else if (major === MAJOR.text) out.push(`"${shownText(readText(reader, Number.MAX_SAFE_INTEGER))}"`);
  else if (major === MAJOR.array) writeArray(reader, out, depth);
  else if (major === MAJOR.map) writeMap(reader, out, depth);
  else if (major === MAJOR.tag) writeTagged(reader, out, depth);
  else out.push(shownSimple(reader));
}

function writeArray(reader: Reader, out: Out, depth: number): void {
  const size = readHead(reader, MAJOR.array);
  out.push('[');
  for (let index = 0n; index < size; index++) {
    const shown = index < MAX_ITEMS;
    if (shown && index > 0n) out.push(', ');
    writeItem(reader, shown ? out : NOWHERE, depth + 1);
  }
  if (size > MAX_ITEMS) out.push(`, … ${size - BigInt(MAX_ITEMS)} more`);
  out.push(']');
}

function writeMap(reader: Reader, out: Out, depth: number, names?: ReadonlyMap<number, string>): void {
  const size = readHead(reader, MAJOR.map);
  const indent = `\n${'  '.repeat(depth + 1)}`;
  out.push('{');
  for (let index = 0n; index < size; index++) {
    const into = index < MAX_ENTRIES ? out : NOWHERE;
    into.push(index === 0n ? indent : `,${indent}`);
    writeKey(reader, into, depth, names);
    into.push(': ');
    writeItem(reader, into, depth + 1);
  }
  if (size > MAX_ENTRIES) out.push(`,${indent}… ${size - BigInt(MAX_ENTRIES)} more`);
  out.push(size > 0n ? `\n${'  '.repeat(depth)}}` : '}');
}

function writeKey(reader: Reader, out: Out, depth: number, names?: ReadonlyMap<number, string>): void {
  if (names === undefined || peekMajor(reader) !== MAJOR.uint) {
    writeItem(reader, out, depth + 1);
    return;
  }
  const key = readHead(reader, MAJOR.uint);
  const name = names.get(Number(key));
  out.push(name === undefined ? `${key}` : `${key} / ${name} /`);
}

/** What a tag stands before is numbers more often than text. */
function writeTagged(reader: Reader, out: Out, depth: number): void {
  out.push(`${readHead(reader, MAJOR.tag)}(`);
  if (peekMajor(reader) === MAJOR.bytes) out.push(shownHex(readBytes(reader)));
  else writeItem(reader, out, depth + 1);
  out.push(')');
}

function shownBytes(bytes: Uint8Array): string {
  const text = printable(bytes);
  if (bytes.length === 0 || /[\\']/.test(text)) return shownHex(bytes);
  return `'${clipped(text)}'`;
}

function shownHex(bytes: Uint8Array): string {
  const shown = Buffer.from(bytes.subarray(0, MAX_HEX_BYTES)).toString('hex');
  return bytes.length > MAX_HEX_BYTES ? `h'${shown}…' (${bytes.length} bytes)` : `h'${shown}'`;
}

const shownText = (text: string): string => clipped(printable(Buffer.from(text)).replaceAll('"', '\\"'));

const clipped = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);

const WORDS = new Map([
  [20, 'false'],
  [21, 'true'],
  [22, 'null'],
  [23, 'undefined'],
]);

/** RFC 8949 §3.3. */
function shownSimple(reader: Reader): string {
  const { at, view, bytes } = reader;
  const info = bytes[at]! & 0x1f;
  const argument = readHead(reader, SIMPLE);
  if (info === 25) return `${view.getFloat16(at + 1)}`;
  if (info === 26) return `${view.getFloat32(at + 1)}`;
  if (info === 27) return `${view.getFloat64(at + 1)}`;
  return WORDS.get(Number(argument)) ?? `simple(${argument})`;
}
