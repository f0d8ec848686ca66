/** What the roll-ups must hold for a list of events, computed here without SQL, and how to read them from the store. */
import type { Store } from '@bintrail/runtime/store.ts';
import type { BatchHeader } from '@bintrail/schemas/batch-encode.ts';
import type { EventName } from '@bintrail/schemas/events.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';

export type AnyRow = Readonly<Record<string, number | bigint | string>>;
export type StoredEvent = { readonly type: EventName; readonly header: BatchHeader; readonly row: AnyRow };

type Part = { readonly key: readonly string[]; readonly n: bigint; readonly atNs: bigint };

const SNAPSHOT = 1 << 6;
const UPPER_LAYER = 1 << 2;
const RUNTIME_SETUP = flagBit('runtime_setup');
// 2106-02-07T06:00:00Z: where ClickHouse's DateTime ends, in whole hours.
const LAST_HOUR_S = 4_294_965_600n;

const hex = (text: unknown) => Buffer.from(String(text), 'latin1').toString('hex');
const digestHex = (digest: unknown) => (digest === '' ? '00'.repeat(32) : hex(digest));

function startOf(atNs: bigint, stepS: bigint): string {
  const seconds = atNs / 1_000_000_000n;
  return `${((seconds < LAST_HOUR_S ? seconds : LAST_HOUR_S) / stepS) * stepS}`;
}

/** Each execution, and for a late digest the step back of what was pending; none for processes found at the start. */
function executions({ type, row }: StoredEvent): { row: AnyRow; n: bigint; atNs: bigint }[] {
  if (Number(row.flags) & SNAPSHOT) return [];
  const n = 1n + BigInt(row.repeats ?? 0);
  const pending = { package: '', package_version: '', package_match: '' };
  const isSetup = (Number(row.flags) & RUNTIME_SETUP) !== 0;
  const role = isSetup ? 'setup' : type === 'exec' ? 'exec' : row.role!;
  if (type === 'exec' || type === 'load') {
    const shown = row.digest_reason === 'pending' ? { ...row, ...pending } : row;
    return [{ row: { ...shown, role }, n, atNs: row.ts as bigint }];
  }
  if (type !== 'digest') return [];
  const late = { ...row, role };
  const before = { ...late, ...pending, sha256: '', digest_strength: '', digest_reason: 'pending' };
  const atNs = row.event_ts as bigint;
  return [
    { row: late, n, atNs },
    { row: before, n: -n, atNs },
  ];
}

function summed(parts: readonly Part[]): Map<string, string> {
  const sums = new Map<string, { n: bigint; first: bigint; last: bigint }>();
  for (const { key, n, atNs } of parts) {
    const sum = sums.get(key.join()) ?? { n: 0n, first: atNs, last: atNs };
    const first = atNs < sum.first ? atNs : sum.first;
    sums.set(key.join(), { n: sum.n + n, first, last: atNs > sum.last ? atNs : sum.last });
  }
  const left = [...sums].filter(([, sum]) => sum.n !== 0n);
  return new Map(left.map(([key, { n, first, last }]) => [key, `${n} ${first} ${last}`]));
}

const TEXT_KEYS = ['workload', 'image', 'role', 'path', 'package', 'package_version', 'package_match'] as const;

export function expectedRollups(events: readonly StoredEvent[]): Rollups {
  const runs = events.flatMap((event) => executions(event).map((run) => ({ ...run, header: event.header })));
  const hour = (atNs: bigint) => startOf(atNs, 3600n);
  const sightings = runs.map(({ row, n, atNs }) => {
    const upper = Number(row.flags) & UPPER_LAYER ? '1' : '0';
    const texts = [...TEXT_KEYS, 'digest_strength', 'digest_reason'].map((name) => hex(row[name]));
    return { key: [hour(atNs), digestHex(row.sha256), upper, ...texts], n, atNs };
  });
  const nodes = runs.map(({ row, n, atNs, header }) => {
    const texts = ['workload', 'image', 'role', 'path', 'package_match', 'digest_reason'].map((name) => hex(row[name]));
    return { key: [hour(atNs), digestHex(row.sha256), Buffer.from(header.node).toString('hex'), ...texts], n, atNs };
  });
  const lineage = events
    .filter(({ type }) => type !== 'digest')
    .flatMap((event) => executions(event))
    .map(({ row, n, atNs }) => {
      const texts = ['workload', 'parent_path', 'path', 'role'].map((name) => hex(row[name]));
      return { key: [hour(atNs), String(row.uid), ...texts], n, atNs };
    });
  return { sightings: summed(sightings), nodes: summed(nodes), lineage: summed(lineage), coverage: coverage(events) };
}

function larger(a: bigint, b: bigint): bigint {
  return b > a ? b : a;
}

function coverage(events: readonly StoredEvent[]): Map<string, string> {
  const highest = new Map<string, bigint[]>();
  for (const { type, header, row } of events) {
    if (type !== 'loss') continue;
    const names = [header.node, header.boot].map((name) => Buffer.from(name).toString('hex'));
    const place = [String(row.cpu), hex(row.event_type), hex(row.place)];
    const key = [startOf(row.ts as bigint, 60n), ...names, `${header.probeEpoch}`, ...place].join();
    const counters = [row.seen, row.sent, row.lost] as bigint[];
    const known = highest.get(key) ?? counters;
    highest.set(
      key,
      counters.map((counter, index) => larger(counter, known[index]!)),
    );
  }
  return new Map([...highest].map(([key, counters]) => [key, counters.join(' ')]));
}

export type Rollups = Readonly<Record<'sightings' | 'nodes' | 'lineage' | 'coverage', Map<string, string>>>;

const SEEN = `toString(sum(n)) || ' ' || toString(toUnixTimestamp64Nano(min(first_seen))) || ' '
  || toString(toUnixTimestamp64Nano(max(last_seen)))`;

const hexed = (...names: string[]) => names.map((name) => `lower(hex(${name}))`);

const KEYS = {
  sightings: [
    'toUnixTimestamp(hour)',
    ...hexed('sha256'),
    'upper_layer',
    ...hexed(...TEXT_KEYS, 'digest_strength', 'digest_reason'),
  ],
  nodes: [
    'toUnixTimestamp(hour)',
    ...hexed('sha256', 'node', 'workload', 'image', 'role', 'path', 'package_match', 'digest_reason'),
  ],
  lineage: ['toUnixTimestamp(hour)', 'uid', ...hexed('workload', 'parent_path', 'path', 'role')],
  coverage: [
    'toUnixTimestamp(minute)',
    ...hexed('node', 'boot'),
    'probe_epoch',
    'cpu',
    ...hexed('event_type', 'place'),
  ],
};

/** The roll-ups as a reader sees them: summed, without the keys that came to nothing. */
export async function storedRollups(store: Store): Promise<Rollups> {
  const read = async (table: string, keys: readonly string[], value: string, having: string) => {
    const key = keys.map((each) => `toString(${each})`).join(" || ',' || ");
    const sql = `SELECT ${key} AS k, ${value} AS v FROM ${table} GROUP BY ${keys.join(', ')} ${having}`;
    const rows = await store.query<{ k: string; v: string }>(sql);
    return new Map(rows.map(({ k, v }) => [k, v]));
  };
  const counters = "toString(max(seen)) || ' ' || toString(max(sent)) || ' ' || toString(max(lost))";
  const present = 'HAVING sum(n) != 0';
  return {
    sightings: await read('sightings', KEYS.sightings, SEEN, present),
    nodes: await read('sighting_nodes', KEYS.nodes, SEEN, present),
    lineage: await read('lineage', KEYS.lineage, SEEN, present),
    coverage: await read('coverage', KEYS.coverage, counters, ''),
  };
}

/** Sorted, so that a difference reads well. */
export function inOrder(rollups: Rollups): Record<string, [string, string][]> {
  const entries = Object.entries(rollups).map(([name, rows]) => [name, [...rows].sort(([a], [b]) => (a < b ? -1 : 1))]);
  return Object.fromEntries(entries);
}
