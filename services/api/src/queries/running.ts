/** Processes that run a content now, as far as the events say. */

import type { Store } from '@bintrail/runtime/store.ts';
import { formatExecId } from '@bintrail/schemas/exec-id.ts';
import { z } from '@hono/zod-openapi';
import { shown } from '../findings/subject.ts';
import { rfc3339FromNs, timeText } from '../time.ts';
import { type Scope, sqlScope } from './scope.ts';

const MAX_SHOWN = 100;

export const runningAnswer = z
  .object({
    count: z.int(),
    processes: z
      .array(
        z.object({
          node: z.string(),
          exec_id: z.string(),
          pid: z.int(),
          path: z.string(),
          workload: z.string(),
          since: timeText,
          confirmed: z
            .boolean()
            .describe('False when the probe was started again since and did not find it: it may have ended meanwhile.'),
        }),
      )
      .describe(`The newest first, at most ${MAX_SHOWN}.`),
  })
  .describe('Live processes: of the newest boot of each node, not ended and not replaced by a later exec.')
  .openapi('Running');

const PROCESS = 'node, boot, pid, start_ns';
const IMAGE = `${PROCESS}, self_exec_id`;
const NOW = 'SELECT node, argMax(boot, probe_epoch) AS boot, max(probe_epoch) AS epoch FROM probe_runs GROUP BY node';

type Row = {
  node: string;
  boot: string;
  pid: number;
  start_ns: string;
  self_exec_id: number;
  path_hex: string;
  workload_hex: string;
  since_ns: string;
  confirmed: number;
  total: string;
};

/** Programs, and scripts by the process that reads them. Only workload and node of the scope count. */
export async function readRunning(
  store: Store,
  sha256: string,
  { workload, node, window }: Scope,
): Promise<z.infer<typeof runningAnswer>> {
  const { place, onNode, params } = sqlScope({ workload, node, window });
  const imagesIn = (table: string, time: string) => `
    SELECT ${IMAGE}, probe_epoch, path, workload, ${time} AS at FROM ${table}
    WHERE sha256 = toFixedString(unhex({sha256:String}), 32) AND ${place} AND ${onNode}
      AND (node, boot) IN (SELECT node, boot FROM (${NOW}))`;
  const images = [
    imagesIn('exec_events', 'ts'),
    imagesIn('load_events', 'ts'),
    imagesIn('digest_events', 'event_ts'),
  ].join(' UNION ALL ');
  const rows = await store.query<Row>(
    `SELECT node, boot, pid, start_ns, self_exec_id, hex(image_path) AS path_hex, hex(image_workload) AS workload_hex,
       toUnixTimestamp64Nano(since) AS since_ns, newest.epoch >= now.epoch AS confirmed, count() OVER () AS total
     FROM (
       SELECT ${IMAGE}, any(path) AS image_path, any(workload) AS image_workload, min(at) AS since
       FROM (${images}) GROUP BY ${IMAGE}
     ) AS image
     INNER JOIN (
       SELECT ${PROCESS}, max(exec) AS self_exec_id, max(probe_epoch) AS epoch FROM (
         SELECT ${PROCESS}, self_exec_id AS exec, probe_epoch FROM exec_events
         WHERE (${PROCESS}) IN (SELECT ${PROCESS} FROM (${images}))
         UNION ALL SELECT ${PROCESS}, self_exec_id AS exec, probe_epoch FROM (${images}))
       GROUP BY ${PROCESS}
     ) AS newest USING (${IMAGE})
     INNER JOIN (${NOW}) AS now USING (node, boot)
     WHERE (${PROCESS}) NOT IN (
       SELECT ${PROCESS} FROM exit_events
       WHERE (node, pid, start_ns) IN (SELECT node, pid, start_ns FROM (${images})))
     ORDER BY since DESC, ${IMAGE} LIMIT ${MAX_SHOWN}`,
    { sha256, ...params },
  );
  return { count: Number(rows[0]?.total ?? 0), processes: rows.map(processOf) };
}

function processOf({ node, boot, pid, start_ns, self_exec_id, path_hex, workload_hex, since_ns, confirmed }: Row) {
  return {
    node,
    exec_id: formatExecId({ boot, pid, startNs: BigInt(start_ns), selfExecId: self_exec_id }),
    pid,
    path: shown(path_hex),
    workload: shown(workload_hex),
    since: rfc3339FromNs(BigInt(since_ns)),
    confirmed: confirmed === 1,
  };
}
