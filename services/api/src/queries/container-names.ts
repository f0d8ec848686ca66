/** What containers are called, joined late: events carry ids, and names may be told after them. */
import type { Store } from '@bintrail/runtime/store.ts';
import type { ContainerNames } from '../container-answer.ts';
import { shown } from '../findings/subject.ts';

export type AskedContainer = { readonly node: string; readonly id: string; readonly tsNs: bigint };

/** Names by {@link containerKey}, as they were at the time of each. */
export type NamesAt = (asked: AskedContainer) => ContainerNames;

type Row = {
  node: string;
  id_hex: string;
  name_hex: string;
  image_ref_hex: string;
  namespace_hex: string;
  pod_hex: string;
  from_ns: string;
  until_ns: string;
};

/** One that is relabelled all the time is told of often: older words than these are not looked at. */
const MAX_ROWS_EACH = 64;
// Ids take up to 255 bytes, twice that in hex, and a parameter of ClickHouse 128 KiB.
const CHUNK = 200;

export async function readContainerNames(
  store: Store,
  asked: readonly Pick<AskedContainer, 'node' | 'id'>[],
): Promise<NamesAt> {
  const told = new Map<string, Row[]>();
  const ids = [...new Set(asked.flatMap(({ id }) => (id === '' ? [] : [id])))];
  const nodes = [...new Set(asked.map(({ node }) => node))];
  for (let at = 0; at < ids.length; at += CHUNK) {
    const rows = await store.query<Row>(
      `SELECT node, hex(container_id) AS id_hex, hex(container_name) AS name_hex, hex(image_ref) AS image_ref_hex,
         hex(namespace) AS namespace_hex, hex(pod) AS pod_hex,
         toUnixTimestamp64Nano(valid_from) AS from_ns, toUnixTimestamp64Nano(valid_until) AS until_ns
       FROM container_events WHERE container_id IN (SELECT unhex(arrayJoin({ids:Array(String)})))
         AND node IN (SELECT arrayJoin({nodes:Array(String)}))
       ORDER BY ts DESC, seq DESC LIMIT ${MAX_ROWS_EACH} BY node, container_id`,
      { ids: ids.slice(at, at + CHUNK).map((id) => Buffer.from(id).toString('hex')), nodes },
    );
    for (const row of rows) {
      const key = containerKey(row.node, shown(row.id_hex));
      told.set(key, [...(told.get(key) ?? []), row]);
    }
  }
  return ({ node, id, tsNs }) => {
    const rows = told.get(containerKey(node, id));
    return rows === undefined ? null : namesOf(rowAt(rows, tsNs));
  };
}

function containerKey(node: string, id: string): string {
  return `${id} ${node}`;
}

/** The newest word that holds for this time; else the nearest one: what was told of a container it was all along. */
function rowAt(newestFirst: readonly Row[], tsNs: bigint): Row {
  const isFrom = ({ from_ns }: Row) => BigInt(from_ns) <= tsNs;
  const holds = (row: Row) => isFrom(row) && (row.until_ns === '0' || tsNs <= BigInt(row.until_ns));
  return newestFirst.find(holds) ?? newestFirst.find(isFrom) ?? newestFirst.at(-1)!;
}

function namesOf({ name_hex, image_ref_hex, namespace_hex, pod_hex }: Row): ContainerNames {
  const [name, image_ref] = [shown(name_hex) || null, shown(image_ref_hex) || null];
  return { name, image_ref, namespace: shown(namespace_hex) || null, pod: shown(pod_hex) || null };
}
