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

/** Topics that keep only the newest record of each key. */
export const COMPACTED_TOPICS: readonly string[] = [TOPICS.policy, TOPICS.deliveries];
