/** Every table that Grafana reads. Event tables are named by their definitions; a test finds the others in the store. */
import { EVENTS } from '@bintrail/schemas/events.ts';

export const TABLES = {
  execs: EVENTS.exec.table,
  loads: EVENTS.load.table,
  digests: EVENTS.digest.table,
  changes: EVENTS.file.table,
  heartbeats: EVENTS.heartbeat.table,
  sightings: 'sightings',
  sightingNodes: 'sighting_nodes',
  lineage: 'lineage',
  coverage: 'coverage',
  gaps: 'run_gaps',
  runCounts: 'run_counts',
  batches: 'batches',
  probeRuns: 'probe_runs',
  findings: 'finding_evidence',
  actions: 'finding_actions',
} as const;
