/** Messages that a probe numbered and the store never got. */
import type { Store } from '@bintrail/runtime/store.ts';

/** `missing` messages of one run of a probe, `firstSeq` to `firstSeq + missing - 1`, noticed when the next one came. */
export type BatchGap = {
  readonly node: string;
  readonly boot: string;
  readonly probeEpoch: bigint;
  readonly firstSeq: number;
  readonly missing: number;
  /** When the message after the gap was stored, milliseconds since the epoch. */
  readonly noticedAtMs: number;
};

/** More than these are cut off: a run with that many holes says the same with fewer. */
export const MAX_GAPS = 10_000;

// The retention of `batches`, less a day: the beginning of an older run is gone and is no gap.
const RETENTION_DAYS = 89;

// `candidates`: rows of the window that do not follow on a row of the window; only those are looked up outside it.
const GAPS = `
WITH
  fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC') AS since,
  fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC') AS until,
  candidates AS (
    SELECT node, boot, probe_epoch, batch_seq, at FROM (
      SELECT node, boot, probe_epoch, batch_seq, at,
        lagInFrame(toNullable(batch_seq)) OVER (PARTITION BY node, boot, probe_epoch ORDER BY batch_seq) AS previous
      FROM (
        SELECT node, boot, probe_epoch, batch_seq, min(ingested_at) AS at
        FROM batches WHERE ingested_at >= since AND ingested_at < until
        GROUP BY node, boot, probe_epoch, batch_seq
      )
    )
    WHERE batch_seq > 0 AND (previous IS NULL OR previous + 1 < batch_seq)
  ),
  after_gap AS (
    SELECT node, boot, probe_epoch, batch_seq, at FROM candidates
    WHERE (node, boot, probe_epoch, batch_seq - 1) NOT IN (
      SELECT node, boot, probe_epoch, batch_seq FROM batches
      WHERE (node, boot, probe_epoch, batch_seq) IN (SELECT node, boot, probe_epoch, batch_seq - 1 FROM candidates)
    )
  )
SELECT node, boot, toString(probe_epoch) AS epoch, toString(first_seq) AS first, toString(next_seq - first_seq) AS count,
  toUnixTimestamp64Milli(noticed) AS noticed_ms
FROM (
  SELECT node, boot, probe_epoch, a.batch_seq AS next_seq, any(a.at) AS noticed,
    countIf(b.batch_seq < a.batch_seq) AS known, if(known = 0, 0, maxIf(b.batch_seq, b.batch_seq < a.batch_seq) + 1) AS first_seq
  FROM after_gap AS a
  INNER JOIN (
    SELECT node, boot, probe_epoch, batch_seq FROM batches
    WHERE (node, boot, probe_epoch) IN (SELECT node, boot, probe_epoch FROM after_gap)
  ) AS b USING (node, boot, probe_epoch)
  GROUP BY node, boot, probe_epoch, next_seq
)
WHERE known > 0 OR probe_epoch >= toUnixTimestamp64Milli(now64(3)) - ${RETENTION_DAYS} * 86400000
ORDER BY noticed, node, boot, probe_epoch, next_seq
LIMIT ${MAX_GAPS}`;

type GapRow = { node: string; boot: string; epoch: string; first: string; count: string; noticed_ms: string };

/**
 * Gaps in `batch_seq` whose next message was stored in [sinceMs, untilMs), oldest first. A message that came late
 * closes its gap. Not seen: messages lost after the last one of a run, and the start of a run older than the retention.
 * @throws Transient when the store is away
 */
export async function batchGaps(
  store: Store,
  { sinceMs, untilMs }: { readonly sinceMs: number; readonly untilMs: number },
): Promise<BatchGap[]> {
  const rows = await store.query<GapRow>(GAPS, { since_ms: sinceMs, until_ms: untilMs });
  return rows.map(({ node, boot, epoch, first, count, noticed_ms }) => ({
    node,
    boot,
    probeEpoch: BigInt(epoch),
    firstSeq: Number(first),
    missing: Number(count),
    noticedAtMs: Number(noticed_ms),
  }));
}
