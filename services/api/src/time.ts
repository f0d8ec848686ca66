/** Times on the way in (RFC 3339 or relative) and out (RFC 3339 UTC). Inside they are nanoseconds since the epoch. */
import { z } from '@hono/zod-openapi';

const UNIT_NS = { s: 10n ** 9n, m: 60n * 10n ** 9n, h: 3600n * 10n ** 9n, d: 86_400n * 10n ** 9n } as const;
const RELATIVE = /^now(?:-(\d{1,6})([smhd]))?$/;
// RFC 3339 §5.6, at most nanoseconds.
const ABSOLUTE = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/;

/** Nothing happened before the epoch, and DateTime64(9) ends in 2262: times outside are moved to these ends. */
export const TIME_MIN_NS = 0n;
export const TIME_MAX_NS = 9_223_372_036_000_000_000n;

/** Nanoseconds since the epoch for `now`, `now-15m` (s, m, h, d) or an RFC 3339 time; undefined for anything else. */
export function parseTime(text: string, nowMs: number): bigint | undefined {
  const relative = RELATIVE.exec(text);
  if (relative !== null) {
    const [, count = '0', unit = 's'] = relative;
    return clamp(BigInt(nowMs) * 1_000_000n - BigInt(count) * UNIT_NS[unit as keyof typeof UNIT_NS]);
  }
  const absolute = ABSOLUTE.exec(text);
  if (absolute === null) return undefined;
  const [, date, time, fraction = '', offset] = absolute;
  // Date.parse would take 31 February for 3 March.
  if (!z.iso.date().safeParse(date).success) return undefined;
  const ms = Date.parse(`${date}T${time}${offset!.toUpperCase()}`);
  if (Number.isNaN(ms)) return undefined;
  return clamp(BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, '0')));
}

function clamp(ns: bigint): bigint {
  if (ns < TIME_MIN_NS) return TIME_MIN_NS;
  return ns > TIME_MAX_NS ? TIME_MAX_NS : ns;
}

/** For a `{name:DateTime64(9, 'UTC')}` parameter: `2026-01-02 03:04:05.000000006`. */
export function sqlTime(ns: bigint): string {
  const text = new Date(Number(ns / 1_000_000n)).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 19)}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;
}

/** RFC 3339 UTC from what ClickHouse prints for a DateTime or DateTime64 in UTC; at least milliseconds. */
export function rfc3339(sqlText: string): string {
  const [date, time = '00:00:00'] = sqlText.split(' ');
  const [clock, fraction = ''] = time.split('.');
  return `${date}T${clock}.${fraction.padEnd(3, '0')}Z`;
}

/** RFC 3339 UTC with nanoseconds. */
export function rfc3339FromNs(ns: bigint): string {
  return rfc3339(sqlTime(ns));
}

/** RFC 3339 UTC with milliseconds. */
export function rfc3339FromMs(ms: number): string {
  return new Date(ms).toISOString();
}

/** Nanoseconds since the epoch of what ClickHouse prints for a DateTime or DateTime64 in UTC. */
export function nsFromSql(sqlText: string): bigint {
  const [seconds, fraction = ''] = sqlText.split('.');
  return BigInt(Date.parse(`${seconds!.replace(' ', 'T')}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}

/** A query parameter that takes a time. It stays text until `openPage` or {@link windowOf} resolves it. */
export const timeParam = z
  .string()
  .refine(
    (text) => parseTime(text, 0) !== undefined,
    'a time is RFC 3339 (2026-01-31T08:00:00Z) or now, now-15m, now-24h, now-7d',
  )
  .openapi({
    anyOf: [
      { type: 'string', format: 'date-time' },
      { type: 'string', pattern: RELATIVE.source },
    ],
    example: 'now-24h',
  });

/** An answer's time. */
export const timeText = z.string().openapi({ format: 'date-time', example: '2026-01-31T08:00:00.000Z' });

/** A half-open stretch of time, in nanoseconds since the epoch: `since` is in it, `until` is not. */
export type Window = { readonly sinceNs: bigint; readonly untilNs: bigint };

/** Resolves `since` and `until` at one instant. Both are optional; the defaults are written as parameters are. */
export function windowOf(
  asked: { readonly since?: string | undefined; readonly until?: string | undefined },
  nowMs: number,
  defaultSince = '1970-01-01T00:00:00Z',
): Window {
  const sinceNs = parseTime(asked.since ?? defaultSince, nowMs);
  const untilNs = asked.until === undefined ? TIME_MAX_NS : parseTime(asked.until, nowMs);
  if (sinceNs === undefined || untilNs === undefined) throw new Error('a time went past its schema');
  return { sinceNs, untilNs };
}
