/** What an operator reads of dead letters. Nothing a record holds can control the terminal. */
import { originId } from '@bintrail/runtime/dead.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { columnKey, HEADER_NAMES } from '@bintrail/schemas/column-keys.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { printable } from '@bintrail/schemas/printable.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { diagnostic } from './diagnostic.ts';
import type { Letter } from './letters.ts';
import { obstacle } from './replay.ts';

/** What the numbers in an event's message stand for. */
const KEY_NAMES: ReadonlyMap<number, string> = new Map([
  ...HEADER_NAMES.map((name, key) => [key, name] as const),
  ...Object.values(EVENTS).flatMap(({ fields }) => fields.map(({ name }) => [columnKey(name), name] as const)),
]);

const DUMPED_BYTES = 1024;
const A_LINE = 16;

const shown = (text: string): string => printable(Buffer.from(text));
const when = (atMs: number): string => new Date(atMs).toISOString();
const newestOf = (letter: Letter): number => Math.max(...letter.refusals.map(({ atMs }) => atMs));
const listed = (words: readonly string[]): string => shown([...new Set(words)].join(','));

/** One line a letter, below a line of headings. */
export function table(letters: readonly Letter[]): string {
  const rows = letters.map((letter) => [
    when(newestOf(letter)),
    shown(originId(letter)),
    listed(letter.refusals.map(({ stage }) => stage)),
    listed(letter.refusals.map(({ reason }) => reason)),
    `${letter.sizeBytes}`,
    letter.replayedAtMs.length === 0 ? '-' : when(Math.max(...letter.replayedAtMs)),
  ]);
  const all = [['REFUSED', 'ID', 'STAGE', 'REASON', 'BYTES', 'REPLAYED'], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** One JSON object a line. */
export function jsonLine({ bytes: _, refusals, replayedAtMs, ...letter }: Letter): string {
  const { sizeBytes, ...facts } = letter;
  const line = JSON.stringify({
    ...{ ...facts, key: letter.key ?? null, size_bytes: sizeBytes },
    refusals: refusals.map(({ stage, reason, atMs }) => ({ stage, reason, at: when(atMs) })),
    replayed_at: replayedAtMs.map(when),
  });
  return line.replaceAll(
    /[\p{Cc}\p{Bidi_Control}]/gu,
    (char) => `\\u${char.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  );
}

/** Everything about one letter whose bytes were kept. */
export function details(letter: Letter): string {
  const bytes = letter.bytes!;
  const text = jsonText(bytes);
  return [
    `id        ${shown(letter.id)}`,
    `key       ${letter.key === undefined ? '(not kept)' : shown(letter.key)}`,
    `bytes     ${letter.sizeBytes}, SHA-256 ${letter.sha256}`,
    ...letter.refusals.map(({ stage, reason, atMs }) => `refused   ${when(atMs)} by ${shown(stage)}: ${shown(reason)}`),
    `replayed  ${letter.replayedAtMs.map(when).join(', ') || 'never'}`,
    ...(letter.topic === TOPICS.events ? [`today     ${todaysVerdict(bytes)}`] : []),
    ...[obstacle(letter)].flatMap((why) => (why === undefined ? [] : [`replay    not possible: ${shown(why)}`])),
    '',
    text === undefined ? `As CBOR:\n${diagnostic(bytes, KEY_NAMES)}` : `As JSON:\n${text}`,
    '',
    `As bytes:\n${hexDump(bytes)}`,
  ].join('\n');
}

/** What this version would say of the message, and where: the fault itself is in no dead letter. */
function todaysVerdict(bytes: Uint8Array): string {
  const decoded = decodeBatch(bytes);
  if (!decoded.ok) return `refused: ${decoded.reason} (${shown(decoded.detail)})`;
  const { rows, type, node, batchSeq } = decoded.batch;
  return `readable: ${rows} ${type} rows of ${shown(node)}, message ${batchSeq}`;
}

function jsonText(bytes: Uint8Array): string | undefined {
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    const lines = JSON.stringify(json, null, 2).split('\n');
    return typeof json === 'object' && json !== null ? lines.map(shown).join('\n') : undefined;
  } catch {
    return undefined;
  }
}

function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, DUMPED_BYTES); at += A_LINE) {
    const line = bytes.subarray(at, at + A_LINE);
    const hex = Array.from(line, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = Array.from(line, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(3 * A_LINE)} ${text}`);
  }
  if (bytes.length > DUMPED_BYTES) lines.push(`… ${bytes.length - DUMPED_BYTES} more; --raw writes all of them`);
  return lines.join('\n');
}
