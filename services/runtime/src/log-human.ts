import type { ErrorFacts } from './log.ts';

type Line = { time: string; level: string; name: string; msg?: string; err?: ErrorFacts; [field: string]: unknown };

/** From these on, the stack of an error is worth its lines. */
const WITH_STACK = ['error', 'fatal'];

/** One log line for a person: `12:00:00.000 WARN  ingest: message field=value (Transient: what happened)`. */
export function humanLine({ time, level, name, msg = '', err, ...fields }: Line): string {
  const extra = Object.entries(fields).map(([key, value]) => ` ${key}=${plain(value)}`);
  const head = `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${name}: ${printable(msg)}${extra.join('')}`;
  if (err === undefined) return `${head}\n`;
  const stack = WITH_STACK.includes(level) ? stackLines(err) : '';
  return `${head} (${errorChain(err)})\n${stack}`;
}

function errorChain({ type, message, cause }: ErrorFacts): string {
  const own = `${type}: ${printable(message)}`;
  return cause === undefined ? own : `${own}, because ${errorChain(cause)}`;
}

function stackLines({ stack = '' }: ErrorFacts): string {
  const frames = stack.split('\n').filter((line) => line.startsWith('    at '));
  return frames.map((frame) => `${printable(frame)}\n`).join('');
}

function plain(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@%+-]+$/.test(value) ? value : printable(JSON.stringify(value));
}

/** Keeps what others chose (paths, names) from moving the cursor or forging lines. */
function printable(value: string): string {
  return value.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  );
}
