/** What the store holds, asked in SQL and brought into the words of the account and of the bus. */

import type { Store } from '@bintrail/runtime/store.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { rowsOf } from '@bintrail/standalone/replay-recording.ts';

const SNAPSHOT = flagBit('snapshot');

/** Names of events, by the table they belong in: `<epoch>:…`, never twice. */
export type Names = ReadonlyMap<string, readonly string[]>;

/** Of looks at all processes the store keeps how many rows came; of the rows the latest of each image. */
function lookNames(batches: readonly Batch[]): string[] {
  const rows = batches.flatMap((batch) => rowsOf(batch).map((row) => `${batch.probeEpoch}:${row.ts}`));
  return [...Map.groupBy(rows, (look) => look)].map(([look, { length }]) => `${look}:${length}`);
}

/** Snapshot rows have no number on a CPU: a process image is there once a run of the probe. */
export function namesOnBus(batches: readonly Batch[]): Names {
  const names = new Map<string, string[]>();
  for (const batch of batches) {
    const own = names.get(batch.type) ?? [];
    names.set(batch.type, own);
    if (batch.type === 'alive') continue;
    for (const row of rowsOf(batch)) {
      const isSnapshot = batch.type === 'exec' && (Number(row.flags) & SNAPSHOT) !== 0;
      const parts = isSnapshot
        ? ['snapshot', row.pid, row.start_ns, row.self_exec_id]
        : 'cpu_seq' in row
          ? [row.cpu, row.cpu_seq]
          : [row.stream, row.seq];
      own.push([batch.probeEpoch, ...parts].join(':'));
    }
  }
  if (names.has('alive')) names.set('alive', lookNames(batches.filter(({ type }) => type === 'alive')));
  for (const own of names.values()) own.sort();
  return names;
}

const LOOKS = `SELECT concat(toString(probe_epoch), ':', toString(toUnixTimestamp64Nano(ts)), ':', toString(sum(stored)))
  AS name FROM alive_looks WHERE probe_epoch IN {epochs:Array(UInt64)} GROUP BY probe_epoch, ts`;
const NAME_IN_KERNEL = "concat(toString(cpu), ':', toString(cpu_seq))";
const NAME_IN_USER_SPACE = "concat(toString(stream), ':', toString(seq))";
const NAME_OF_EXEC = `if(bitTest(flags, 6),
  concat('snapshot:', toString(pid), ':', toString(start_ns), ':', toString(self_exec_id)), ${NAME_IN_KERNEL})`;

function nameIn(type: string): string {
  if (type === 'exec') return NAME_OF_EXEC;
  const { fields } = EVENTS[type as EventName] as EventDefinition;
  return fields.some(({ name }) => name === 'cpu_seq') ? NAME_IN_KERNEL : NAME_IN_USER_SPACE;
}

/** The same from the store, of these runs of the probe. */
export async function namesInStore(store: Store, epochs: readonly number[], types: Iterable<string>): Promise<Names> {
  const names = new Map<string, string[]>();
  for (const type of types) {
    const ofRows = `SELECT concat(toString(probe_epoch), ':', ${nameIn(type)}) AS name
      FROM ${type}_events WHERE probe_epoch IN {epochs:Array(UInt64)}`;
    const rows = await store.query<{ name: string }>(type === 'alive' ? LOOKS : ofRows, { epochs });
    names.set(type, rows.map(({ name }) => name).sort());
  }
  return names;
}

/** What two sorted lists do not have in common, and what is in the second more than once; cut to a readable length. */
export function differences(expected: readonly string[], actual: readonly string[]) {
  const [wanted, found] = [new Set(expected), new Set(actual)];
  return {
    missing: expected.filter((name) => !found.has(name)).slice(0, 20),
    invented: actual.filter((name) => !wanted.has(name)).slice(0, 20),
    doubled: actual.filter((name, at) => name === actual[at - 1]).slice(0, 20),
  };
}

/** Messages of these runs that are stored, each once; a repeat of a message is not counted. */
export async function storedMessages(store: Store, epochs: readonly number[]): Promise<number> {
  const [row] = await store.query<{ n: string }>(
    'SELECT count() AS n FROM batches WHERE NOT repeat AND probe_epoch IN {epochs:Array(UInt64)}',
    { epochs },
  );
  return Number(row!.n);
}

/** Exec ids that more than one row carries, processes from before a probe left out. */
export async function doubledExecs(store: Store): Promise<unknown[]> {
  return await store.query(
    `SELECT boot, pid, start_ns, self_exec_id, count() AS n, any(path) AS path, groupUniqArray(probe_epoch) AS epochs
     FROM exec_events WHERE NOT bitTest(flags, 6) GROUP BY boot, pid, start_ns, self_exec_id HAVING n > 1 LIMIT 20`,
  );
}

export type StoredExec = { readonly n: number; readonly program: number; readonly sha256: string };

/** The driver's execs: their numbers, which program, and the digest they have by now ('' without one). */
export async function storedExecs(store: Store, folder: string): Promise<StoredExec[]> {
  const rows = await store.query<{ argv: string; path: string; sha256: string; reason: string }>(
    `SELECT argv, path, lower(hex(final.1)) AS sha256, final.2 AS reason FROM (
       SELECT argv, path, if(digest_reason = 'pending' AND d.late, (d.sha, d.why), (e.sha256, e.digest_reason)) AS final
       FROM exec_events AS e
       LEFT JOIN (SELECT boot, pid, start_ns, self_exec_id, 1 AS late, any(sha256) AS sha, any(digest_reason) AS why
         FROM digest_events WHERE role = 'exec' GROUP BY boot, pid, start_ns, self_exec_id) AS d
       USING (boot, pid, start_ns, self_exec_id)
       WHERE startsWith(path, {folder:String}) AND NOT bitTest(flags, 6))`,
    { folder: `${folder}/p` },
  );
  return rows.map(({ argv, path, sha256, reason }) => ({
    n: Number(argv.split('\0')[1]),
    program: Number(path.slice(folder.length + 2)),
    sha256: reason === '' ? sha256 : '',
  }));
}

// Raw rows with their late digests in place, and what each roll-up made of them; a key is here if the two disagree. Some may
// be of containers that others start on this machine meanwhile.
const ROLLED_UP = `
WITH late AS (
  SELECT node, boot, pid, start_ns, self_exec_id, role, path, event_ts AS ts, 1 AS resolved, any(sha256) AS sha, any(digest_reason) AS why
  FROM digest_events GROUP BY node, boot, pid, start_ns, self_exec_id, role, path, ts
), ran AS (
  SELECT node, boot, pid, start_ns, self_exec_id, 'exec' AS role, path, ts, sha256, digest_reason, flags, 1 AS n FROM exec_events
  WHERE NOT bitTest(flags, 6)
  UNION ALL
  SELECT node, boot, pid, start_ns, self_exec_id, role, path, ts, sha256, digest_reason, flags, 1 + repeats FROM load_events
  WHERE NOT bitTest(flags, 6)
), final AS (
  SELECT path, if(bitTest(flags, 16), 'setup', ran.role) AS role, node, n,
    if(digest_reason = 'pending' AND resolved, sha, sha256) AS digest,
    if(digest_reason = 'pending' AND resolved, why, digest_reason) AS reason
  FROM ran LEFT JOIN late USING (node, boot, pid, start_ns, self_exec_id, role, path, ts)
)
SELECT path, role, hex(digest) AS sha256, reason, sum(raw) AS raws, sum(sighted) AS sightings, sum(on_nodes) AS nodes,
  raws = sightings AND raws = nodes AS agree FROM (
  SELECT path, role, digest, reason, toInt64(n) AS raw, toInt64(0) AS sighted, toInt64(0) AS on_nodes FROM final
  UNION ALL
  SELECT path, role, sha256, digest_reason, toInt64(0), n, toInt64(0) FROM sightings
  UNION ALL
  SELECT path, role, sha256, digest_reason, toInt64(0), toInt64(0), n FROM sighting_nodes
) GROUP BY path, role, digest, reason HAVING NOT agree LIMIT 20`;

/** Keys whose counts in the roll-ups are not the number of their rows. */
export async function disagreeingCounts(store: Store): Promise<unknown[]> {
  return await store.query(ROLLED_UP);
}
