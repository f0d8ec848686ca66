/** Processes that run a content now: not ended, not replaced, and found by the last look at all processes. */

import type { Store } from '@bintrail/runtime/store.ts';
import { formatExecId } from '@bintrail/schemas/exec-id.ts';
import { z } from '@hono/zod-openapi';
import { shown } from '../findings/subject.ts';
import { rfc3339FromNs, timeText } from '../time.ts';
import { freshParams, IS_FRESH, IS_GONE, isRecentOr, lookTime, NEWEST_BOOTS, newestLooks, STALE_MS } from './alive.ts';
import { type Scope, sqlScope } from './scope.ts';

const MAX_SHOWN = 100;

export const runningAnswer = z
  .object({
    count: z.int().describe('Known to run.'),
    stale_count: z.int().describe('Ran when their node was last heard, and may have ended since.'),
    processes: z
      .array(
        z.object({
          node: z.string(),
          exec_id: z.string(),
          pid: z.int(),
          path: z.string(),
          workload: z.string(),
          since: timeText,
          as_of: timeText
            .nullable()
            .describe(
              'When its node last looked at all processes; null where nothing of the last three days is known.',
            ),
          stale: z
            .boolean()
            .describe(`That came more than ${STALE_MS / 60_000} minutes ago: nobody can say whether it still runs.`),
        }),
      )
      .describe(`Those known to run first, then the newest, at most ${MAX_SHOWN}.`),
  })
  .describe(
    'Live processes, of the newest boot of each node: not ended, not replaced by a later exec, and either found by the ' +
      "probe's last look at all processes (one a minute, only where it arrived whole) or begun since. What a lost exit " +
      'left open, or what ended while no probe watched, is gone with the next look.',
  )
  .openapi('Running');

const PROCESS = 'node, boot, pid, start_ns';
const IMAGE = `${PROCESS}, self_exec_id`;

type Row = {
  node: string;
  boot: string;
  pid: number;
  start_ns: string;
  self_exec_id: number;
  path_hex: string;
  workload_hex: string;
  since_ns: string;
  looked_ns: string;
  is_fresh: number;
  fresh: string;
  total: string;
};

/** Programs, and scripts by the process that reads them. Only workload and node of the scope count. */
export async function readRunning(
  store: Store,
  sha256: string,
  { workload, node, window }: Scope,
  nowMs: number,
): Promise<z.infer<typeof runningAnswer>> {
  const { place, onNode, params } = sqlScope({ workload, node, window });
  const sql = runningSql(place, onNode);
  const read = (silent: readonly string[]) =>
    store.query<Row>(sql, { sha256, ...params, ...freshParams(nowMs), silent });
  let rows = await read([]);
  const silent = new Set(rows.filter(({ looked_ns }) => looked_ns === '0').map((row) => row.node));
  if (silent.size > 0) rows = await read([...silent]);
  const [fresh, total] = [Number(rows[0]?.fresh ?? 0), Number(rows[0]?.total ?? 0)];
  return { count: fresh, stale_count: total - fresh, processes: rows.map(processOf) };
}

/** Tables of events are large, and names are long: rows are chosen by two numbers first, and by all of the key then. */
function runningSql(place: string, onNode: string): string {
  const imagesIn = (table: string, time: string) => `
    SELECT ${IMAGE}, path, workload, ${time} AS at FROM ${table}
    WHERE sha256 = toFixedString(unhex({sha256:String}), 32) AND pid > 0 AND ${place} AND ${onNode}
      AND (node, boot) IN (SELECT node, boot FROM (${NEWEST_BOOTS}))`;
  const images = [
    imagesIn('exec_events', 'ts'),
    imagesIn('load_events', 'ts'),
    imagesIn('digest_events', 'event_ts'),
  ].join(' UNION ALL ');
  const ofImages = `${onNode} AND (pid, start_ns) IN (SELECT pid, start_ns FROM (${images}))`;
  return `
    SELECT node, boot, pid, start_ns, self_exec_id, hex(image_path) AS path_hex, hex(image_workload) AS workload_hex,
      since_ns, looked_ns, ${IS_FRESH} AS is_fresh,
      countIf(is_fresh) OVER () AS fresh, count() OVER () AS total
    FROM (
      SELECT ${IMAGE}, any(path) AS image_path, any(workload) AS image_workload,
        toUnixTimestamp64Nano(min(at)) AS since_ns
      FROM (${images}) GROUP BY ${IMAGE}
    ) AS image
    INNER JOIN (
      SELECT ${PROCESS}, max(exec) AS self_exec_id FROM (
        SELECT ${PROCESS}, self_exec_id AS exec FROM exec_events WHERE ${ofImages}
        UNION ALL SELECT ${PROCESS}, self_exec_id AS exec FROM (${images}))
      GROUP BY ${PROCESS}
    ) AS newest USING (${IMAGE})
    LEFT JOIN (
      SELECT ${IMAGE}, toUnixTimestamp64Nano(max(ts)) AS alive_ns FROM alive_events
      WHERE ${ofImages} GROUP BY ${IMAGE}
    ) AS life USING (${IMAGE})
    LEFT JOIN (
      ${newestLooks(`${onNode} AND ${isRecentOr('node IN (SELECT arrayJoin({silent:Array(String)}))')}`)}
    ) AS look USING (node, boot)
    WHERE NOT (${IS_GONE}) AND (${PROCESS}) NOT IN (SELECT ${PROCESS} FROM exit_events WHERE ${ofImages})
    ORDER BY is_fresh DESC, since_ns DESC, ${IMAGE} LIMIT ${MAX_SHOWN}`;
}

function processOf(row: Row) {
  const { node, boot, pid, start_ns, self_exec_id, path_hex, workload_hex, since_ns, looked_ns, is_fresh } = row;
  return {
    node,
    exec_id: formatExecId({ boot, pid, startNs: BigInt(start_ns), selfExecId: self_exec_id }),
    pid,
    path: shown(path_hex),
    workload: shown(workload_hex),
    since: rfc3339FromNs(BigInt(since_ns)),
    as_of: lookTime(looked_ns),
    stale: is_fresh === 0,
  };
}
