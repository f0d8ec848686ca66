/** Which sightings a question is about, as conditions on the roll-ups. Values go as bound parameters only. */
import type { Role } from '@bintrail/schemas/digest-words.ts';
import { spellings } from '../spelling.ts';
import { sqlTime, type Window } from '../time.ts';

/** Everything is optional but the window. `path` is exact, or a prefix that ends in `*`; the others are exact. */
export type Scope = {
  readonly window: Window;
  readonly workload?: string | undefined;
  readonly node?: string | undefined;
  readonly image?: string | undefined;
  readonly path?: string | undefined;
  /** manager:name:architecture, or the name alone. */
  readonly package?: string | undefined;
  readonly role?: Role | undefined;
};

export type SqlScope = {
  readonly window: Window;
  /** Workload, image and path: columns that raw events, `sightings` and `sighting_nodes` all have. */
  readonly place: string;
  /** The hours of the window, whole ones. */
  readonly hours: string;
  /** The same in seconds since the epoch; undefined where the window has no end on that side. */
  readonly hourRange: { readonly sinceS: number | undefined; readonly untilS: number | undefined };
  /** Columns of `sightings` alone. */
  readonly ofSightings: string;
  readonly onNode: string;
  /** For HAVING over rows of one thing: of the hours at the window's ends only what reaches into it. */
  readonly inWindow: string;
  readonly params: Readonly<Record<string, string | number>>;
};

const NS_PER_SECOND = 1_000_000_000n;
// Where DateTime ends, and its last whole hour: later events are kept in that hour (schemas/migrations).
export const LAST_SECOND = 4_294_967_295n;
const LAST_HOUR = 4_294_965_600n;

export function sqlScope({ window, workload, node, image, path, package: owner, role }: Scope): SqlScope {
  const sinceHour = smaller((window.sinceNs / NS_PER_SECOND / 3600n) * 3600n, LAST_HOUR);
  const untilSecond = smaller((window.untilNs + NS_PER_SECOND - 1n) / NS_PER_SECOND, LAST_SECOND);
  const place = [
    ...(workload === undefined ? [] : [isText('workload')]),
    ...(image === undefined ? [] : ['image = {image:String}']),
    ...(path === undefined ? [] : [isLike('path', path)]),
  ];
  const ofSightings = [
    ...(owner === undefined ? [] : ["(package = {package:String} OR splitByChar(':', package)[2] = {package:String})"]),
    ...(role === undefined ? [] : ['role = {role:String}']),
  ];
  return {
    window,
    place: place.join(' AND ') || '1',
    hours: hoursBetween(sinceHour, untilSecond),
    hourRange: {
      sinceS: sinceHour === 0n ? undefined : Number(sinceHour),
      untilS: untilSecond === LAST_SECOND ? undefined : Number(untilSecond),
    },
    ofSightings: ofSightings.join(' AND ') || '1',
    onNode: node === undefined ? '1' : 'node = {node:String}',
    inWindow: "max(last_seen) >= {since:DateTime64(9, 'UTC')} AND min(first_seen) < {until:DateTime64(9, 'UTC')}",
    params: {
      since: sqlTime(window.sinceNs),
      until: sqlTime(window.untilNs),
      since_hour: Number(sinceHour),
      until_second: Number(untilSecond),
      ...(workload === undefined ? {} : textParams('workload', workload)),
      ...(path === undefined ? {} : textParams('path', path.replace(/\*$/, ''))),
      ...(image === undefined ? {} : { image }),
      ...(owner === undefined ? {} : { package: owner }),
      ...(role === undefined ? {} : { role }),
      ...(node === undefined ? {} : { node }),
    },
  };
}

// Without a bound the sums over all time answer; with one, days say which granules of other orders to read.
function hoursBetween(sinceHour: bigint, untilSecond: bigint): string {
  const [since, until] = ["toDateTime({since_hour:UInt32}, 'UTC')", "toDateTime({until_second:UInt32}, 'UTC')"];
  const conditions = [
    ...(sinceHour === 0n ? [] : [`hour >= ${since} AND toStartOfDay(hour) >= toStartOfDay(${since})`]),
    ...(untilSecond === LAST_SECOND ? [] : [`hour < ${until} AND toStartOfDay(hour) <= toStartOfDay(${until})`]),
  ];
  return conditions.join(' AND ') || '1';
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/** What {@link isText} and {@link isLike} compare the column with. */
export function textParams(column: string, text: string): Record<string, string> {
  const [plain, bytes] = spellings(text);
  return { [`${column}_plain`]: plain, [`${column}_bytes`]: bytes };
}

/** The column holds what {@link textParams} bound for it. */
export function isText(column: string): string {
  return `${column} IN (unhex({${column}_plain:String}), unhex({${column}_bytes:String}))`;
}

/** The same for a text that, with a `*` at its end, is a prefix. */
export function isLike(column: string, pattern: string): string {
  if (!pattern.endsWith('*')) return isText(column);
  const starts = ['plain', 'bytes'].map((way) => `startsWith(${column}, unhex({${column}_${way}:String}))`);
  return `(${starts.join(' OR ')})`;
}
