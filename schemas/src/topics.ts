/** Topics of the bus. Keys: events by node, findings and deliveries by group id, policy by approval or finding. */
export const TOPICS = {
  events: 'bintrail.events',
  findings: 'bintrail.findings',
  policy: 'bintrail.policy',
  deliveries: 'bintrail.deliveries',
  dead: 'bintrail.dead',
} as const;

/** Topics that keep only the newest record of each key. */
export const COMPACTED_TOPICS: readonly string[] = [TOPICS.policy, TOPICS.deliveries];
