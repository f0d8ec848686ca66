/** Nodes as their probes last told of themselves. */
import type { Store } from '@bintrail/runtime/store.ts';
import { shown } from '../findings/subject.ts';
import { rfc3339FromNs } from '../time.ts';
import { lossByNode } from './coverage.ts';
import { type GapTotals, NO_GAPS } from './gaps.ts';

/** A probe reports every few seconds. Measured at the store: a node's clock may be wrong. */
export const SILENT_MS = 60_000;
const DAY_NS = 86_400_000_000_000n;

export type NodesQuestion = {
  readonly nowMs: number;
  readonly node?: string | undefined;
  /** Name of the last node of the page before. */
  readonly after: string | undefined;
  readonly limit: number;
};

const TEXTS = ['probe_version', 'hooks', 'kernel', 'mode'] as const;
const NUMBERS = ['outbox_depth', 'waiting_digests', 'held_descriptors'] as const;

type Row = Record<`${(typeof TEXTS)[number]}_hex`, string> &
  Record<(typeof NUMBERS)[number], string | number> & {
    node: string;
    boot: string;
    probe_epoch: string;
    ts_ns: string;
    ingested_ms: string;
  };

/** A page in the order of names. Nodes that reported in the last 30 days are known. */
export async function listNodes(store: Store, { nowMs, node, after, limit }: NodesQuestion) {
  const conditions = [
    ...(node === undefined ? [] : ['node = {node:String}']),
    ...(after === undefined ? [] : ['node > {after:String}']),
  ];
  const which = conditions.join(' AND ') || '1';
  const untilNs = BigInt(nowMs) * 1_000_000n;
  const [rows, { lost, gaps }] = await Promise.all([
    store.query<Row>(
      `SELECT node, boot, probe_epoch, ${NUMBERS.join(', ')}, ${TEXTS.map((name) => `hex(${name}) AS ${name}_hex`).join(', ')},
         toUnixTimestamp64Nano(ts) AS ts_ns, toUnixTimestamp64Milli(ingested_at) AS ingested_ms
       FROM heartbeat_events
       WHERE (node, ingested_at) IN (SELECT node, max(ingested_at) FROM heartbeat_events WHERE ${which} GROUP BY node)
       ORDER BY node, probe_epoch DESC, ts DESC, seq DESC LIMIT 1 BY node LIMIT {rows:UInt32}`,
      { ...(node === undefined ? {} : { node }), ...(after === undefined ? {} : { after }), rows: limit + 1 },
    ),
    lossByNode(store, { sinceNs: untilNs > DAY_NS ? untilNs - DAY_NS : 0n, untilNs }),
  ]);
  const nodes = rows
    .slice(0, limit)
    .map((row) => nodeOf(row, lost.get(row.node) ?? 0, gaps.get(row.node) ?? NO_GAPS, nowMs));
  return { nodes, next: rows.length > limit ? nodes.at(-1)!.node : undefined };
}

function nodeOf(row: Row, loss: number, { unseen: _, ...gaps }: GapTotals, nowMs: number) {
  return {
    node: row.node,
    last_heartbeat: rfc3339FromNs(BigInt(row.ts_ns)),
    silent: nowMs - Number(row.ingested_ms) > SILENT_MS,
    probe_version: shown(row.probe_version_hex),
    hooks: shown(row.hooks_hex),
    kernel: shown(row.kernel_hex),
    mode: shown(row.mode_hex),
    boot: row.boot,
    probe_epoch: Number(row.probe_epoch),
    outbox_depth: Number(row.outbox_depth),
    waiting_digests: Number(row.waiting_digests),
    held_descriptors: Number(row.held_descriptors),
    loss,
    gaps,
  };
}
