/** Topics of the bus. Keys: events by node, findings and deliveries by group id, policy by approval or finding. */
export const TOPICS = {
  events: 'bintrail.events',
  findings: 'bintrail.findings',
  policy: 'bintrail.policy',
  deliveries: 'bintrail.deliveries',
  dead: 'bintrail.dead',
} as const;

/** The group that brings events into the store: how far behind it is, is how old the store's news are. */
export const INGEST_GROUP = 'ingest';

/** How long topics keep their records, unless made otherwise; a cluster remembers tokens for as long. */
export const RETENTION_MS = 7 * 24 * 3600 * 1000;

/** Topics that keep only the newest record of each key. */
export const COMPACTED_TOPICS: readonly string[] = [TOPICS.policy, TOPICS.deliveries];

const DAY_MS = 24 * 3600 * 1000;

/**
 * What each topic of a shared bus is like. `partitions`: of the events, and so how many copies of ingest and of detect
 * can work at a time. Findings and deliveries have the same number and key, so that one owner has both of a group. The
 * policy is one small log whose order counts. Dead records wait longer: somebody has to look at them. Each must have room
 * for the largest of another topic and for why it was refused, else that one would stop its stage.
 */
export function topicShapes({
  partitions,
  retentionMs,
}: {
  readonly partitions: number;
  readonly retentionMs: number;
}) {
  const plain = { compacted: false, retentionMs };
  return [
    { ...plain, name: TOPICS.events, partitions },
    { ...plain, name: TOPICS.findings, partitions: FINDINGS_PARTITIONS },
    { ...plain, name: TOPICS.policy, partitions: 1, compacted: true },
    { ...plain, name: TOPICS.deliveries, partitions: FINDINGS_PARTITIONS, compacted: true },
    {
      ...{ ...plain, name: TOPICS.dead, partitions: 1, retentionMs: Math.max(retentionMs, 30 * DAY_MS) },
      maxMessageBytes: 5 * 1024 * 1024,
    },
  ] as const;
}

/** Findings are few: one a workload and subject. */
const FINDINGS_PARTITIONS = 4;
