/** What the probes found when they looked at all processes: who was in a whole look lived, who was not had gone. */
import type { Store } from '@bintrail/runtime/store.ts';
import type { ExecId } from '@bintrail/schemas/exec-id.ts';
import { rfc3339FromNs } from '../time.ts';

/** A probe looks every minute. Measured at the store: a node's clock may be wrong. */
export const STALE_MS = 180_000;

/** The boot of each node that its newest probe runs on. */
export const NEWEST_BOOTS = 'SELECT node, argMax(boot, probe_epoch) AS boot FROM probe_runs GROUP BY node';

/** A node that has not looked for so long is asked for by name. */
const RECENT_MS = 1_800_000;
/** Of a live fleet only the last looks count; `nodes` are those whose last look is older. */
export const isRecentOr = (nodes: string) =>
  `(quarter >= toStartOfFifteenMinutes(fromUnixTimestamp64Milli({recent_since_ms:Int64}, 'UTC')) OR ${nodes})`;

/** The newest whole look of each boot for which the condition holds. */
export const newestLooks = (which: string) => `
  SELECT node, boot, toUnixTimestamp64Nano(max(ts)) AS looked_ns, max(look_at) AS look_stored_at FROM (
    SELECT node, boot, ts, max(stored_at) AS look_at FROM alive_looks WHERE ${which}
    GROUP BY node, boot, probe_epoch, ts HAVING sum(stored) >= max(images))
  GROUP BY node, boot`;

/**
 * Of an image with `alive_ns` and `since_ns` beside a newest look: that look did not find it, and had to. What began
 * after it may live unseen; a second is for what was under way, and for small steps of the clock.
 */
export const IS_GONE = 'looked_ns > 0 AND alive_ns < looked_ns AND since_ns < looked_ns - 1000000000';

/** The look is fresh enough to claim by it that something runs. */
export const IS_FRESH = "look_stored_at >= fromUnixTimestamp64Milli({fresh_since_ms:Int64}, 'UTC')";

export const freshParams = (nowMs: number) => ({
  fresh_since_ms: Math.max(0, nowMs - STALE_MS),
  recent_since_ms: Math.max(0, nowMs - RECENT_MS),
});

/** Of a look that never was, the time is 0. */
export function lookTime(lookedNs: string): string | null {
  return lookedNs === '0' ? null : rfc3339FromNs(BigInt(lookedNs));
}

export type Life = {
  /** Undefined where the last look is too old to say. */
  readonly isAlive: boolean | undefined;
  readonly asOf: string | null;
};

type Row = { is_newest_boot: number; is_gone: number; is_fresh: number; looked_ns: string };

/** Of an image whose end nobody told of. `sinceNs`: when it was executed, or first found. */
export async function readLife(
  store: Store,
  node: string,
  { boot, pid, startNs, selfExecId }: ExecId,
  sinceNs: bigint,
  nowMs: number,
): Promise<Life> {
  const itsBoot = 'node = {node:String} AND boot = {boot:String}';
  const [row] = await store.query<Row>(
    `SELECT newest_boot = {boot:String} AS is_newest_boot, ${IS_GONE} AS is_gone, ${IS_FRESH} AS is_fresh, looked_ns
     FROM (
       SELECT {since:Int64} AS since_ns,
         (SELECT boot FROM (${NEWEST_BOOTS}) WHERE node = {node:String}) AS newest_boot,
         (SELECT toUnixTimestamp64Nano(max(ts)) FROM alive_events WHERE ${itsBoot} AND pid = {pid:UInt32}
            AND start_ns = {start_ns:UInt64} AND self_exec_id = {self_exec_id:UInt32}) AS alive_ns
     ) AS image
     LEFT JOIN (${newestLooks(itsBoot)}) AS look ON 1`,
    { ...{ node, boot, pid, start_ns: startNs, self_exec_id: selfExecId, since: sinceNs }, ...freshParams(nowMs) },
  );
  if (row === undefined) return { isAlive: undefined, asOf: null };
  const isOver = row.is_newest_boot === 0 || row.is_gone === 1;
  return { isAlive: isOver ? false : row.is_fresh === 1 ? true : undefined, asOf: lookTime(row.looked_ns) };
}
