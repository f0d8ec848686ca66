/** A probe that starts lists every process that runs, also those that were told of before: shown is the first word only. */
import type { Parameter, Store } from '@bintrail/runtime/store.ts';

const IMAGE = 'node, boot, pid, start_ns, self_exec_id';
const IS_FOUND = 'bitTest(flags, 6)';

/**
 * A condition on `exec_events` that leaves out processes found by a start of the probe whose exec is stored, or that an
 * earlier start had found. `where` is what else is asked; without such rows in it, nothing is looked up.
 */
export async function firstSights(
  store: Store,
  where: string,
  params: Readonly<Record<string, Parameter>>,
): Promise<string> {
  const found = await store.query(`SELECT 1 FROM exec_events WHERE ${where} AND ${IS_FOUND} LIMIT 1`, params);
  if (found.length === 0) return '1';
  // Rows are told by numbers: with names in them these tuples take seconds. One row that shares process number, start to
  // the nanosecond, and start of the probe to the millisecond with one of another node would be shown twice.
  return `(NOT ${IS_FOUND} OR (pid, start_ns, self_exec_id, probe_epoch) IN (
    SELECT pid, start_ns, self_exec_id, first.1 FROM (
      SELECT ${IMAGE}, min((probe_epoch, ${IS_FOUND})) AS first FROM exec_events
      WHERE (pid, start_ns) IN (SELECT pid, start_ns FROM exec_events WHERE ${where} AND ${IS_FOUND})
      GROUP BY ${IMAGE} HAVING first.2 = 1)))`;
}
