/**
 * A probe that starts lists every process that runs, and the code it has mapped, also what was told of before: shown is the
 * first word only.
 */
import type { Parameter, Store } from '@bintrail/runtime/store.ts';

const IMAGE = 'node, boot, pid, start_ns, self_exec_id';
const IS_FOUND = 'bitTest(flags, 6)';
/** What tells one from another beside the image. */
const TABLES = { exec: ['exec_events', ''], load: ['load_events', ', path'] } as const;

/**
 * A condition on events of this type that leaves out what a start of the probe found and whose own event is stored, or that
 * an earlier start had found. `where` is what else is asked; without such rows in it, nothing is looked up.
 */
export async function firstSights(
  store: Store,
  type: keyof typeof TABLES,
  where: string,
  params: Readonly<Record<string, Parameter>>,
): Promise<string> {
  const [table, path] = TABLES[type];
  const found = await store.query(`SELECT 1 FROM ${table} WHERE ${where} AND ${IS_FOUND} LIMIT 1`, params);
  if (found.length === 0) return '1';
  // Rows are told by numbers: with names in them these tuples take seconds. One row that shares process number, start to
  // the nanosecond, and start of the probe to the millisecond with one of another node would be shown twice.
  return `(NOT ${IS_FOUND} OR (pid, start_ns, self_exec_id, probe_epoch${path}) IN (
    SELECT pid, start_ns, self_exec_id, first.1${path} FROM (
      SELECT ${IMAGE}${path}, min((probe_epoch, ${IS_FOUND})) AS first FROM ${table}
      WHERE (pid, start_ns) IN (SELECT pid, start_ns FROM ${table} WHERE ${where} AND ${IS_FOUND})
      GROUP BY ${IMAGE}${path} HAVING first.2 = 1)))`;
}
