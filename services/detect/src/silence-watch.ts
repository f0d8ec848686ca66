/**
 * Notices probes that are not heard any more. Absence is no event, so this asks the store now and then: it survives any
 * restart, and copies of it find the same silences under the same ids.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type LastWord, silences } from '@bintrail/analysis/silence.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { inLots } from '@bintrail/runtime/dead.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Metrics } from '@bintrail/runtime/metrics.ts';
import { type Store, StoreError } from '@bintrail/runtime/store.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { INGEST_GROUP, TOPICS } from '@bintrail/schemas/topics.ts';

export type SilenceWatchOptions = {
  readonly bus: Bus;
  readonly store: Store;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock?: () => number;
  /** Default 15 s. */
  readonly everyMs?: number;
};

export type SilenceWatch = {
  /** Resolves when closed; rejects with a bug. */
  readonly done: Promise<void>;
  close(): Promise<void>;
};

const EVERY_MS = 15_000;
/** Nodes unheard for longer are old news, and may be gone for good. */
const KNOWN_MS = 24 * 3_600_000;
/** Rows of a plan show up some time after the plan's own time. */
const OVERLAP_MS = 300_000;
/** Ingest may be that far behind: well below the time after which a probe counts as silent. */
const MAX_BEHIND_MS = 60_000;
/** After anything stood still, every living probe gets this long to be heard before anyone is called silent. */
const STEADY_MS = 60_000;
/** Ids in one parameter of ClickHouse: 66 bytes each of 128 KiB. */
const IDS_AT_ONCE = 1_000;

export function watchSilence(options: SilenceWatchOptions): SilenceWatch {
  const { log, metrics, clock = Date.now, everyMs = EVERY_MS } = options;
  const held = metrics.counter('silence_held_total', 'Looks for silent probes that were put off.', ['reason']);
  const silent = metrics.gauge('silent_nodes', 'Nodes whose probe is not heard, of those heard in the last day.');
  const closing = new AbortController();
  const words = new Map<string, LastWord>();
  const told = new Set<string>();
  let steady: { readonly sinceMs: number; lookedAtMs: number } | undefined;
  let readUntilMs = 0;
  let heldInARow = 0;

  const hold = (reason: string, detail: object) => {
    steady = undefined;
    held.inc({ reason });
    heldInARow += 1;
    // Not the first: at a start, ingest has yet to take what was left. Nor each: an outage has hundreds.
    if (heldInARow === 2) log.warn({ reason, ...detail }, 'silent probes are not looked for until this is over');
  };
  const look = async () => {
    const nowMs = clock();
    const behind = await options.bus.lag(TOPICS.events, INGEST_GROUP);
    if (behind.records > 0 && behind.oldestAgeMs > MAX_BEHIND_MS) return hold('ingest_behind', behind);
    for (const word of await readLastWords(options.store, Math.max(nowMs - KNOWN_MS, readUntilMs - OVERLAP_MS))) {
      words.set(word.node, word);
    }
    readUntilMs = nowMs;
    for (const [node, { heardAtMs }] of words) if (nowMs - heardAtMs > KNOWN_MS) words.delete(node);
    // A gap between two looks: this process, or its machine, stood still itself.
    if (steady === undefined || nowMs - steady.lookedAtMs > everyMs + STEADY_MS) {
      steady = { sinceMs: nowMs, lookedAtMs: nowMs };
    }
    steady.lookedAtMs = nowMs;
    if (nowMs - steady.sinceMs < STEADY_MS) return;
    const found = silences([...words.values()], nowMs);
    silent.set(found.length);
    const news = await notStored(
      options.store,
      found.filter(({ finding_id: id }) => !told.has(id)),
    );
    await publish(options.bus, news);
    for (const finding of news) log.info(lineOf(finding), 'finding');
    told.clear();
    for (const { finding_id } of found) told.add(finding_id);
    heldInARow = 0;
  };
  const run = async () => {
    while (!closing.signal.aborted) {
      try {
        await look();
      } catch (error) {
        const reason = whyNotNow(error);
        if (reason === undefined) throw error;
        hold(reason, { err: error });
      }
      await delay(everyMs, undefined, { signal: closing.signal }).catch(() => {});
    }
  };
  const done = run();
  const close = async () => {
    closing.abort();
    await done;
  };
  return { done, close };
}

/** ErrorCodes.cpp of ClickHouse: whoever makes the tables, ingest or the api, has not come to it yet. */
const UNKNOWN_TABLE = 60;
const UNKNOWN_DATABASE = 81;

/** Undefined for what is a bug. */
function whyNotNow(error: unknown): string | undefined {
  if (error instanceof Transient) return 'unreachable';
  const lacks = error instanceof StoreError && (error.code === UNKNOWN_TABLE || error.code === UNKNOWN_DATABASE);
  return lacks ? 'no_tables' : undefined;
}

type Row = { node: string; boot: string; epoch: string; seq: string; mode: string; heard_ms: string };

/** The newest heartbeat of each node that was heard since: the last that was stored, whatever the node's clock says. */
async function readLastWords(store: Store, sinceMs: number): Promise<LastWord[]> {
  const rows = await store.query<Row>(
    `SELECT node, toUnixTimestamp64Milli(last.1) AS heard_ms, last.2 AS epoch, last.3 AS seq, last.4 AS boot, last.5 AS mode
     FROM (
       SELECT node, max((ingested_at, probe_epoch, seq, boot, mode)) AS last FROM heartbeat_events
       WHERE ingested_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') GROUP BY node)`,
    { since: Math.max(0, sinceMs) },
  );
  return rows.map(({ node, boot, epoch, seq, mode, heard_ms }) => {
    return { node, boot, probeEpoch: BigInt(epoch), seq: BigInt(seq), mode, heardAtMs: Number(heard_ms) };
  });
}

/** Those that no one has told of, this process before its restart included. */
async function notStored(store: Store, findings: readonly Finding[]): Promise<Finding[]> {
  const stored = new Set<string>();
  for (let at = 0; at < findings.length; at += IDS_AT_ONCE) {
    const ids = findings.slice(at, at + IDS_AT_ONCE).map(({ finding_id }) => finding_id);
    const rows = await store.query<{ id: string }>(
      `SELECT DISTINCT lower(hex(finding_id)) AS id FROM finding_evidence
       WHERE finding_id IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 32))`,
      { ids },
    );
    for (const { id } of rows) stored.add(id);
  }
  return findings.filter(({ finding_id }) => !stored.has(finding_id));
}

async function publish(bus: Bus, findings: readonly Finding[]): Promise<void> {
  const messages = findings.map((finding) => ({
    key: finding.group_id,
    value: Buffer.from(JSON.stringify(finding)),
  }));
  for (const lot of inLots(messages)) await bus.publish(TOPICS.findings, lot);
}

function lineOf({ finding_id, rule, severity, node, evidence }: Finding) {
  return { finding_id, rule, severity, node, why: evidence.verdict.why };
}
