/** Containers by what was told of them, those that were made last before the others. */
import type { Parameter, Store } from '@bintrail/runtime/store.ts';
import { printable } from '@bintrail/schemas/printable.ts';
import type { ContainerAnswer } from '../container-answer.ts';
import { shown } from '../findings/subject.ts';
import { rfc3339FromNs, sqlTime, type Window } from '../time.ts';
import { STALE_MS } from './alive.ts';
import { isLike, isText, textParams } from './scope.ts';

/** Everything is optional; texts with a `*` at their end are prefixes where {@link PREFIXES} has them. */
export type ContainerFilters = {
  readonly node?: string | undefined;
  readonly container_id?: string | undefined;
  /** As in events, or by its names. */
  readonly workload?: string | undefined;
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly pod?: string | undefined;
  /** Digest. */
  readonly image?: string | undefined;
  readonly image_ref?: string | undefined;
};

const PREFIXES = { container_id: 'container_id', pod: 'pod', image_ref: 'image_ref', name: 'container_name' } as const;

/** Where a page ends. */
export type ContainerKey = readonly [startedNs: string, node: string, idHex: string];

export type ContainersQuestion = {
  readonly nowMs: number;
  readonly filters: ContainerFilters;
  /** Containers that were there in it. */
  readonly window: Window;
  readonly after: ContainerKey | undefined;
  readonly limit: number;
};

type KeyRow = { node: string; id_hex: string; started_ns: string };

// Keys first, by few columns: one container is told of several times, labels are long, and most are not shown. Those
// whose runtime does not say when it made them count from when they were told of.
export async function listContainers(store: Store, { nowMs, filters, window, after, limit }: ContainersQuestion) {
  const conditions = conditionsOf(filters);
  const keys = await store.query<KeyRow>(
    `SELECT node, hex(container_id) AS id_hex, toString(started) AS started_ns FROM (
       SELECT node, container_id,
         toUnixTimestamp64Nano(if(countIf(valid_from > 0) > 0, minIf(valid_from, valid_from > 0), min(ts))) AS started,
         argMax(valid_until, (ts, probe_epoch, seq)) AS ended
       FROM container_events WHERE ${conditions.sql} GROUP BY node, container_id)
     WHERE started < {until_ns:Int64} AND (ended = 0 OR ended >= {since:DateTime64(9, 'UTC')})
       ${after === undefined ? '' : 'AND (started, node, container_id) < ({after_ns:Int64}, {after_node:String}, unhex({after_id:String}))'}
     ORDER BY started DESC, node DESC, container_id DESC LIMIT {rows:UInt32}`,
    {
      ...conditions.params,
      ...{ since: sqlTime(window.sinceNs), until_ns: String(window.untilNs), rows: limit + 1 },
      ...(after === undefined ? {} : { after_ns: after[0], after_node: after[1], after_id: after[2] }),
    },
  );
  const page = keys.slice(0, limit);
  const last = page.at(-1);
  const next: ContainerKey | undefined =
    keys.length > limit && last !== undefined ? [last.started_ns, last.node, last.id_hex] : undefined;
  return { containers: await readContainers(store, page, nowMs), next };
}

type Condition = { readonly sql: string; readonly params: Readonly<Record<string, Parameter>> };

function conditionsOf({ node, workload, namespace, image, ...prefixes }: ContainerFilters): Condition {
  const parts: Condition[] = [];
  const add = (sql: string, params: Condition['params']) => parts.push({ sql, params });
  if (node !== undefined) add('node = {node:String}', { node });
  if (image !== undefined) add('image = {image:String}', { image });
  if (namespace !== undefined) add(isText('namespace'), textParams('namespace', namespace));
  if (workload !== undefined) {
    const either = ['workload', 'deployed_as'].map((column) => isText(column)).join(' OR ');
    add(`(${either})`, { ...textParams('workload', workload), ...textParams('deployed_as', workload) });
  }
  for (const [name, column] of Object.entries(PREFIXES)) {
    const text = prefixes[name as keyof typeof PREFIXES];
    if (text !== undefined) add(isLike(column, text), textParams(column, text.replace(/\*$/, '')));
  }
  return {
    sql: parts.map(({ sql }) => sql).join(' AND ') || '1',
    params: Object.assign({}, ...parts.map(({ params }) => params)),
  };
}

const TEXTS = [
  ...['container_id', 'runtime', 'workload', 'deployed_as', 'container_name', 'namespace', 'pod'],
  ...['image', 'image_id', 'image_ref', 'labels', 'told_by'],
];
// Ids take up to 255 bytes, and a parameter of ClickHouse 128 KiB.
const CHUNK = 200;

type Row = Readonly<Record<string, string | number>>;

/** The newest word of each, in the order of the keys. */
async function readContainers(store: Store, keys: readonly KeyRow[], nowMs: number): Promise<ContainerAnswer[]> {
  const found = new Map<string, ContainerAnswer>();
  const probes = await probesHeard(store, [...new Set(keys.map(({ node }) => node))], nowMs);
  for (let at = 0; at < keys.length; at += CHUNK) {
    const chunk = keys.slice(at, at + CHUNK);
    const rows = await store.query<Row>(
      `SELECT node, probe_epoch, ${TEXTS.map((name) => `hex(${name}) AS ${name}_hex`).join(', ')},
         toUnixTimestamp64Nano(ts) AS ts_ns, toUnixTimestamp64Nano(valid_from) AS from_ns,
         toUnixTimestamp64Nano(valid_until) AS until_ns
       FROM container_events
       WHERE container_id IN (SELECT unhex(arrayJoin({ids:Array(String)})))
         AND node IN (SELECT arrayJoin({nodes:Array(String)}))
       ORDER BY ts DESC, probe_epoch DESC, seq DESC LIMIT 1 BY node, container_id`,
      { ids: chunk.map(({ id_hex }) => id_hex), nodes: [...new Set(chunk.map(({ node }) => node))] },
    );
    for (const row of rows) {
      const isWatched = probes.get(String(row.node)) === String(row.probe_epoch);
      found.set(`${row.container_id_hex} ${row.node}`, answerOf(row, isWatched));
    }
  }
  return keys.flatMap(({ node, id_hex }) => found.get(`${id_hex} ${node}`) ?? []);
}

/** The newest probe of each of these nodes, by its start, where it was heard of late. */
async function probesHeard(
  store: Store,
  nodes: readonly string[],
  nowMs: number,
): Promise<ReadonlyMap<string, string>> {
  if (nodes.length === 0) return new Map();
  const rows = await store.query<{ node: string; epoch: string }>(
    `SELECT node, max(probe_epoch) AS epoch FROM heartbeat_events
     WHERE node IN (SELECT arrayJoin({nodes:Array(String)})) AND ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64})
     GROUP BY node`,
    { nodes, since_ms: Math.max(0, nowMs - STALE_MS) },
  );
  return new Map(rows.map(({ node, epoch }) => [node, epoch]));
}

function answerOf(row: Row, isWatched: boolean): ContainerAnswer {
  const text = (name: string) => shown(String(row[`${name}_hex`]));
  const time = (name: string) => (row[name] === '0' ? null : rfc3339FromNs(BigInt(row[name]!)));
  const ended = time('until_ns');
  return {
    ...{ node: String(row.node), container_id: text('container_id'), runtime: text('runtime') },
    ...{ name: text('container_name') || null, image_ref: text('image_ref') || null },
    ...{ namespace: text('namespace') || null, pod: text('pod') || null },
    ...{ image: text('image') || null, image_id: text('image_id') || null },
    labels: labelsOf(Buffer.from(String(row.labels_hex), 'hex')),
    ...{ workload: text('workload'), deployed_as: text('deployed_as') || null },
    ...{ created: time('from_ns'), ended },
    running: ended !== null ? false : isWatched || null,
    ...{ told_at: rfc3339FromNs(BigInt(row.ts_ns!)), told_by: text('told_by') },
  };
}

/** What a probe sent is JSON; what anybody else did may be anything. */
function labelsOf(bytes: Buffer): Record<string, string> {
  if (bytes.length === 0) return {};
  try {
    const parsed: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof parsed !== 'object' || parsed === null) return {};
    const texts = Object.entries(parsed).filter((entry) => typeof entry[1] === 'string');
    return Object.fromEntries(texts.map((entry) => entry.map((text) => printable(Buffer.from(text)))));
  } catch {
    return {};
  }
}
