/** Finds the messages of a plan that the store holds already: a probe that cannot know sends again. */
import type { BusRecord, Plan } from '@bintrail/runtime/bus.ts';
import type { Parameter, Store } from '@bintrail/runtime/store.ts';
import { peekHeader } from '@bintrail/schemas/batch-decode.ts';
import type { BatchHeader } from '@bintrail/schemas/batch-encode.ts';
import type { DeadRecord, Message } from './messages.ts';

type RunHeader = Omit<BatchHeader, 'batchSeq'>;

/** Names one run of a probe. */
function runKey({ node, boot, probeEpoch }: RunHeader): string {
  return `${node}\0${boot}\0${probeEpoch}`;
}

/** What makes two messages the same one. */
export function messageKey(header: BatchHeader): string {
  return `${runKey(header)}\0${header.batchSeq}`;
}

/**
 * Answers the {@link messageKey} of every message of a plan that stands at a lower offset of the same partition. A
 * replay of the plan gets the same answer: lower offsets belong to plans that were finished before it was made.
 * `peek` knows messages that are decoded already; of the others the header is read.
 * @throws Transient when the store cannot be asked
 */
export type FindEarlier = (plan: Plan, peek?: Peek) => Promise<Set<string>>;

type Peek = (record: BusRecord) => Message | DeadRecord | undefined;

/** A header with the name of its run, made once. */
type Known = BatchHeader & { readonly run: string };

/** What was learned of a partition up to the offset `next`: no message of a run is above its `highest`. */
type Partition = { next: number; readonly highest: Map<string, number> };

/** Runs held in memory; beyond them all are forgotten and asked for again. About 40 MB. */
const MAX_RUNS = 200_000;

/**
 * A message above the highest number of its run is new; the others are looked up one by one. Messages come in order
 * but for repeats, so that a plan hardly ever asks the store more than for runs not seen before.
 */
export function createFindEarlier(store: Store): FindEarlier {
  const partitions = new Map<string, Partition>();
  return async (plan, peek = () => undefined) => {
    const headers = headersOf(plan, peek);
    const name = `${plan.busId}:${plan.topic}:${plan.partition}`;
    const known = partitions.get(name);
    // Another plan than the next one: an earlier try failed, or someone else took plans in between.
    const upToDate = known !== undefined && known.next === plan.from && known.highest.size < MAX_RUNS;
    const highest = upToDate ? known.highest : new Map<string, number>();
    const learnt = await learn(store, plan, highest, headers);
    for (const [run, seq] of learnt) highest.set(run, seq);
    const doubtful = headers.filter((header) => header.batchSeq <= highest.get(header.run)!);
    const earlier = await lookUp(store, plan, doubtful);
    for (const { run, batchSeq } of headers) if (batchSeq > highest.get(run)!) highest.set(run, batchSeq);
    partitions.set(name, { next: plan.to, highest });
    return earlier;
  };
}

function headersOf(plan: Plan, peek: Peek): Known[] {
  const headers: Known[] = [];
  for (const record of plan.records) {
    const message = peek(record);
    const header = message === undefined ? peekHeader(record.value) : 'header' in message ? message.header : undefined;
    if (header === undefined) continue;
    const { node, boot, probeEpoch, batchSeq } = header;
    headers.push({ node, boot, probeEpoch, batchSeq, run: runKey(header) });
  }
  return headers;
}

const HIGHEST = `
SELECT node, boot, toString(probe_epoch) AS epoch, toString(max(last_seq)) AS seq
FROM probe_runs
WHERE bus_id = {bus_id:String} AND topic = {topic:String} AND partition = {partition:UInt32}
  AND (node, boot, probe_epoch) IN (
    SELECT arrayJoin(arrayZip({nodes:Array(String)}, {boots:Array(String)}, {epochs:Array(UInt64)})))
GROUP BY node, boot, probe_epoch`;

/** The highest numbers of the runs that `highest` does not hold: -1 where the store has none of them. */
async function learn(
  store: Store,
  plan: Plan,
  highest: ReadonlyMap<string, number>,
  headers: readonly Known[],
): Promise<Map<string, number>> {
  const unknown = new Map(headers.filter(({ run }) => !highest.has(run)).map((header) => [header.run, header]));
  const learnt = new Map<string, number>();
  for (const run of unknown.keys()) learnt.set(run, -1);
  for (const part of inParts([...unknown.values()])) {
    for (const header of await ask(store, HIGHEST, partParameters(plan, part))) {
      learnt.set(runKey(header), header.batchSeq);
    }
  }
  return learnt;
}

// Well below the retention of `batches`: a row that a replay of the same plan could miss is never asked for.
const LOOK_BACK_MS = 60 * 24 * 3600 * 1000;

const EARLIER = `
SELECT DISTINCT node, boot, toString(probe_epoch) AS epoch, toString(batch_seq) AS seq
FROM batches
WHERE bus_id = {bus_id:String} AND topic = {topic:String} AND partition = {partition:UInt32}
  AND offset < {from:UInt64} AND ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
  AND (node, boot, probe_epoch, batch_seq) IN (
    SELECT arrayJoin(arrayZip({nodes:Array(String)}, {boots:Array(String)}, {epochs:Array(UInt64)}, {seqs:Array(UInt64)})))`;

async function lookUp(store: Store, plan: Plan, headers: readonly BatchHeader[]): Promise<Set<string>> {
  const earlier = new Set<string>();
  for (const part of inParts(headers)) {
    const seqs = part.map(({ batchSeq }) => batchSeq);
    const bounds = { from: plan.from, since_ms: plan.atMs - LOOK_BACK_MS };
    const found = await ask(store, EARLIER, { ...partParameters(plan, part), ...bounds, seqs });
    for (const header of found) earlier.add(messageKey(header));
  }
  return earlier;
}

function partParameters(plan: Plan, headers: readonly RunHeader[]): Record<string, Parameter> {
  return {
    bus_id: plan.busId,
    topic: plan.topic,
    partition: plan.partition,
    nodes: headers.map(({ node }) => node),
    boots: headers.map(({ boot }) => boot),
    epochs: headers.map(({ probeEpoch }) => probeEpoch),
  };
}

async function ask(store: Store, sql: string, parameters: Record<string, Parameter>): Promise<BatchHeader[]> {
  const rows = await store.query<{ node: string; boot: string; epoch: string; seq: string }>(sql, parameters);
  return rows.map(({ node, boot, epoch, seq }) => ({ node, boot, probeEpoch: BigInt(epoch), batchSeq: Number(seq) }));
}

// ClickHouse takes 128 KiB a parameter (http_max_field_value_size) and 1 MiB for all of them, percent-encoded: half of
// the one, with every byte escaped, and names that take three bytes for one stay below both.
const MAX_PARAMETER_BYTES = 64 * 1024;
const QUOTES_BYTES = 3;
/** Of a UInt64, in decimal. */
const MAX_DIGITS = 20;

function inParts(headers: readonly BatchHeader[]): BatchHeader[][] {
  const parts: BatchHeader[][] = [];
  let sizeBytes = Number.POSITIVE_INFINITY;
  for (const header of headers) {
    const longest = Math.max(Buffer.byteLength(header.node), Buffer.byteLength(header.boot), MAX_DIGITS);
    sizeBytes += 2 * longest + QUOTES_BYTES;
    if (sizeBytes > MAX_PARAMETER_BYTES) {
      parts.push([]);
      sizeBytes = 2 * longest + QUOTES_BYTES;
    }
    parts.at(-1)!.push(header);
  }
  return parts;
}
