/** Holds what is stored, found and told against what ran and was sent. Each function returns what does not fit. */
import { createPolicyView } from '@bintrail/analysis/policy-view.ts';
import { createDetectState, detect } from '@bintrail/detect/stage.ts';
import { batchGaps } from '@bintrail/ingest/gaps.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { rowsOf } from '@bintrail/standalone/replay-recording.ts';
import type { Ran } from '../src/drills/account.ts';
import { countedRuns, runAccounts, toldGaps } from '../src/drills/census-account.ts';
import { spansOf } from '../src/drills/census-check.ts';
import {
  differences,
  disagreeingCounts,
  doubledExecs,
  namesInStore,
  namesOnBus,
  type StoredExec,
} from '../src/drills/in-the-store.ts';
import type { FleetAccount } from '../src/fleet/fleet.ts';
import { NODE, type System } from './system.ts';
import type { Taken } from './taken.ts';

export type Complaints = readonly string[];

const SNAPSHOT = flagBit('snapshot');

/** Runs of the real probe, by the names their messages carry. */
const epochsOf = (batches: readonly Batch[]) => [...new Set(batches.map(({ probeEpoch }) => Number(probeEpoch)))];
const shown = (value: unknown): string =>
  JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? `${each}` : each));

/** Each row of the real probe that the bus took is stored, once, and no other. */
export async function storedOnce(store: Store, { real }: Taken): Promise<Complaints> {
  const onBus = namesOnBus(real);
  const inStore = await namesInStore(store, epochsOf(real), onBus.keys());
  const complaints = [...onBus].flatMap(([type, names]) => {
    const stored = inStore.get(type)!;
    const found = differences(names, stored);
    const fine = Object.values(found).every(({ length }) => length === 0) && stored.length === names.length;
    return fine ? [] : [`${type}: ${names.length} on the bus, ${stored.length} stored, ${shown(found)}`];
  });
  const doubled = await doubledExecs(store);
  return doubled.length === 0 ? complaints : [...complaints, `execs that two rows carry: ${shown(doubled)}`];
}

/** No run of any probe has a hole in its numbers, neither on the bus nor in the store. */
export async function withoutHoles(store: Store, { real, fleet }: Taken): Promise<Complaints> {
  const runs = Map.groupBy([...real, ...fleet], ({ node, probeEpoch }) => `${node} ${probeEpoch}`);
  const holes = [...runs].flatMap(([run, own]) => {
    const highest = own.reduce((max, { batchSeq }) => Math.max(max, batchSeq), -1);
    return highest + 1 === own.length ? [] : [`${run} has ${own.length} messages, the last is number ${highest}`];
  });
  const gaps = await batchGaps(store, { sinceMs: 0, untilMs: Date.now() + 86_400_000 });
  return [...holes, ...gaps.map((gap) => `the store lacks messages: ${shown(gap)}`)];
}

/** What the kernel counted is stored, reported as lost, or missed while no probe was there, to the last exec. */
export async function addsUp(system: System, { real }: Taken, say: (line: string) => void): Promise<Complaints> {
  const runs = countedRuns(runAccounts(real));
  if (runs.length < 2) return [];
  const gaps = await toldGaps(system, runs, NODE);
  const complaints: string[] = [];
  const sums = { counted: 0, stored: 0, lost: 0, missed: 0 };
  for (const span of spansOf(runs)) {
    const inIt = gaps.filter(({ sinceMs }) => sinceMs >= span.fromMs && sinceMs < span.toMs);
    const missed = inIt.reduce((sum, gap) => sum + (gap.missed ?? Number.NaN), 0);
    const own = runs.filter(({ epoch }) => Number(epoch) >= span.fromMs && Number(epoch) < span.toMs);
    const lost = own.reduce((sum, run) => sum + run.lost, 0);
    if (span.accounted + missed !== span.counted)
      complaints.push(
        `from ${span.fromMs}: ${span.counted} counted, ${span.accounted} stored or lost, ${missed} missed`,
      );
    sums.counted += span.counted;
    sums.stored += span.accounted - lost;
    sums.lost += lost;
    sums.missed += missed;
  }
  const { counted, stored, lost, missed } = sums;
  say(
    `${counted} execs counted by the kernel: ${stored} stored, ${lost} lost, ${missed} missed in ${gaps.length} gaps`,
  );
  return complaints;
}

/** The driver's execs: none invented, none twice, each with the digest of what ran. */
export function trueToDriver(
  stored: readonly StoredExec[],
  ran: readonly Ran[],
  digests: readonly string[],
): Complaints {
  const seen = new Set<number>();
  return stored.flatMap(({ n, program, sha256 }) => {
    const twice = seen.has(n);
    seen.add(n);
    if (twice) return [`exec ${n} is stored twice`];
    if (ran[n]?.program !== program) return [`exec ${n} of ${ran.length} is stored as program ${program}`];
    return sha256 === '' || sha256 === digests[program] ? [] : [`exec ${n} has the digest of something else`];
  });
}

/** Roll-ups count what the rows are, late digests included. */
export async function rolledUp(store: Store): Promise<Complaints> {
  return (await disagreeingCounts(store)).map((row) => `rows and roll-ups differ: ${shown(row)}`);
}

/** The simulated fleet is in the store as it remembers it. */
export async function trueToFleet(store: Store, account: FleetAccount): Promise<Complaints> {
  const tables = ['exec_events', 'exit_events', 'digest_events'];
  const counts = tables.map(
    (table) => `(SELECT toUInt32(count()) FROM ${table} WHERE node != {node:String}) AS ${table}`,
  );
  const batches = '(SELECT toUInt32(count()) FROM batches WHERE NOT repeat AND node != {node:String}) AS batches';
  const [rows] = await store.query<Record<string, number>>(`SELECT ${[...counts, batches].join(', ')}`, { node: NODE });
  const { execs, exits, late, messages } = account;
  const sent = { exec_events: execs, exit_events: exits, digest_events: late, batches: messages };
  const complaints = shown(rows) === shown(sent) ? [] : [`fleet: sent ${shown(sent)}, stored ${shown(rows)}`];
  const sightings = await store.query<{ workload: string; sha256: string; n: number }>(
    `SELECT workload, lower(hex(sha256)) AS sha256, toUInt32(sum(n)) AS n FROM sightings
     WHERE startsWith(workload, 'k8s/') GROUP BY workload, sha256 HAVING n != 0`,
  );
  const stored = sightings.map(({ workload, sha256, n }) => `${workload} ${sha256} ${n}`).sort();
  const expected = [...account.sightings].flatMap(([workload, digests]) =>
    [...digests].map(([sha256, n]) => `${workload} ${sha256} ${n}`),
  );
  const { missing, invented } = differences(expected.sort(), stored);
  return missing.length + invented.length === 0
    ? complaints
    : [...complaints, `sightings of the fleet: ${shown({ missing, invented })}`];
}

/** Ids of the findings that the fleet's messages make, whoever judges them and in which plans. */
export function fleetFindings({ fleet }: Taken): string[] {
  const { out } = detect(fleet, createPolicyView(), createDetectState());
  return out.map(({ finding }) => finding.finding_id);
}

/** What one run of the real probe says of itself. */
type RunFacts = {
  readonly epochMs: number;
  /** It was asked to end, and told everything before it did. */
  readonly inOrder: boolean;
  /** Execs and exits: rows that came, those the kernel put into the ring, those the probe dropped before the bus. */
  readonly rows: number;
  readonly sent: number;
  readonly dropped: number;
};

/**
 * A run that ended in order has a row for all that the kernel handed it, less what it says it dropped. It says so where
 * more was to be told than the outbox holds: `filledAtMs` are those moments.
 */
export function toldAll({ real }: Taken, filledAtMs: readonly number[], say: (line: string) => void): Complaints {
  const runs = [...Map.groupBy(real, ({ probeEpoch }) => Number(probeEpoch))]
    .map(([epochMs, own]) => runFacts(epochMs, own))
    .sort((a, b) => a.epochMs - b.epochMs);
  const complaints = runs.flatMap(({ epochMs, inOrder, rows, sent, dropped }) =>
    !inOrder || rows + dropped === sent
      ? []
      : [`the run of ${epochMs} was handed ${sent} and told ${rows}, ${dropped} dropped`],
  );
  const unsaid = runs.at(-1)?.inOrder ? [] : ['the probe was asked to end, and its last word did not come'];
  const filled = filledAtMs.map((atMs) => runs.findLast(({ epochMs }) => epochMs < atMs)!);
  const silent = filled.filter(({ inOrder, dropped }) => inOrder && dropped === 0);
  const dropped = runs.reduce((sum, run) => sum + run.dropped, 0);
  say(
    `${runs.length} runs of the probe, ${runs.filter((run) => run.inOrder).length} in order, ${dropped} rows dropped`,
  );
  return [
    ...complaints,
    ...unsaid,
    ...silent.map(({ epochMs }) => `the outbox of ${epochMs} was filled, and nothing was dropped`),
  ];
}

function runFacts(epochMs: number, batches: readonly Batch[]): RunFacts {
  const rows = (type: Batch['type']) => batches.filter((batch) => batch.type === type).flatMap(rowsOf);
  const highest = (place: string, column: 'sent' | 'lost') => {
    const own = rows('loss').filter(
      (row) => row.place === place && (row.event_type === 'exec' || row.event_type === 'exit'),
    );
    const counters = Map.groupBy(own, ({ cpu, event_type }) => `${cpu}:${event_type}`);
    return [...counters.values()].reduce((sum, each) => sum + Math.max(...each.map((row) => Number(row[column]))), 0);
  };
  const execs = rows('exec').filter(({ flags }) => (Number(flags) & SNAPSHOT) === 0);
  return {
    epochMs,
    inOrder: rows('heartbeat').some(({ mode }) => mode === 'stopping'),
    rows: execs.length + rows('exit').length,
    sent: highest('ring', 'sent'),
    dropped: highest('outbox', 'lost'),
  };
}
