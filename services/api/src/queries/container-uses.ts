/** The containers that ran one content, by raw events: roll-ups know workloads and images, but no containers. */
import type { Store } from '@bintrail/runtime/store.ts';
import type { z } from '@hono/zod-openapi';
import type { containerUse } from '../container-answer.ts';
import { shown } from '../findings/subject.ts';
import { rfc3339FromNs } from '../time.ts';
import { readContainerNames } from './container-names.ts';
import { type Scope, sqlScope } from './scope.ts';

export const MAX_CONTAINERS = 100;

export type ContainerUses = { readonly containers: readonly z.infer<typeof containerUse>[]; readonly count: number };

type Row = {
  node: string;
  id_hex: string;
  workload_hex: string;
  image_hex: string;
  runs: string;
  first_ns: string;
  last_ns: string;
  total: string;
};

/** Those that ran it last come first. Runs of a load are counted as its event counts them. */
export async function readContainerUses(store: Store, sha256: string, scope: Scope): Promise<ContainerUses> {
  const { place, onNode, params } = sqlScope(scope);
  const uses = (table: string, time: string, runs: string) => `
    SELECT node, container_id, workload, image, ${time} AS at, ${runs} AS runs FROM ${table}
    WHERE sha256 = toFixedString(unhex({sha256:String}), 32) AND container_id != '' AND ${place} AND ${onNode}
      AND ${time} >= {since:DateTime64(9, 'UTC')} AND ${time} < {until:DateTime64(9, 'UTC')}`;
  const rows = await store.query<Row>(
    `SELECT node, hex(container_id) AS id_hex, hex(any(workload)) AS workload_hex, hex(any(image)) AS image_hex,
       sum(runs) AS runs, toUnixTimestamp64Nano(min(at)) AS first_ns, toUnixTimestamp64Nano(max(at)) AS last_ns,
       count() OVER () AS total
     FROM (${uses('exec_events', 'ts', '1')} UNION ALL ${uses('load_events', 'ts', '1 + repeats')}
       UNION ALL ${uses('digest_events', 'event_ts', '1 + repeats')})
     GROUP BY node, container_id ORDER BY last_ns DESC, node, container_id LIMIT ${MAX_CONTAINERS}`,
    { sha256, ...params },
  );
  const asked = rows.map(({ node, id_hex, last_ns }) => ({ node, id: shown(id_hex), tsNs: BigInt(last_ns) }));
  const namesAt = await readContainerNames(store, asked);
  const containers = rows.map((row, index) => ({
    ...{ node: row.node, container_id: asked[index]!.id, workload: shown(row.workload_hex) },
    image: shown(row.image_hex) || null,
    ...(namesAt(asked[index]!) ?? { name: null, image_ref: null, namespace: null, pod: null }),
    count: Number(row.runs),
    first_seen: rfc3339FromNs(BigInt(row.first_ns)),
    last_seen: rfc3339FromNs(BigInt(row.last_ns)),
  }));
  return { containers, count: Number(rows[0]?.total ?? 0) };
}
