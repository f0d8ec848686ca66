import { dashboard, row } from '../dashboard.ts';
import { toNode, UIDS } from '../links.ts';
import { ANY_IS_BAD, ANY_IS_WORTH_A_LOOK, stat, table, timeSeries } from '../panels.ts';
import * as coverage from '../queries/coverage.ts';
import * as fleet from '../queries/fleet.ts';
import { SILENT_AFTER_S } from '../sql.ts';
import { api, node } from '../variables.ts';
import { COVERAGE_STEPS, DIGEST_STEPS, HOUR_S, MINUTE_S } from './steps.ts';

export const coverageDashboard = dashboard({
  uid: UIDS.coverage,
  title: 'coverage and pipeline',
  description: 'How much was missed, where, and whether the way from the kernel to the store is clear.',
  from: 'now-6h',
  variables: [node, api],
  rows: [
    row(
      'How much was missed',
      stat({
        title: 'Coverage',
        description: '1 − lost ÷ seen, all places. Below 99.9 %: the table of places says which buffer was too small.',
        query: fleet.coverage,
        unit: 'percentunit',
        steps: COVERAGE_STEPS,
        width: 5,
      }),
      stat({
        title: 'Runs with a digest',
        description: 'Runs of which the content is known. Below 95 %: see the reasons below.',
        query: coverage.withDigest,
        unit: 'percentunit',
        steps: DIGEST_STEPS,
        width: 5,
      }),
      stat({
        title: 'Messages missing',
        description:
          'Holes in the numbers of messages. They may still come; after minutes see Messages missing in the runbook.',
        query: coverage.missing,
        unit: 'short',
        steps: ANY_IS_BAD,
        width: 5,
      }),
      stat({
        title: 'Gaps without a number',
        description:
          'Times without a probe in which nobody counted: coverage is at most what is shown. See the table below.',
        query: coverage.uncounted,
        unit: 'short',
        steps: ANY_IS_WORTH_A_LOOK,
        width: 5,
      }),
      stat({
        title: 'Messages repeated',
        description: 'Sent twice by a probe and stored once. Nothing to do; many of them: the bus is slow to answer.',
        query: coverage.repeats,
        unit: 'short',
        width: 4,
      }),
      timeSeries({
        title: 'Coverage by node',
        description: 'A dip with a burst of runs is a full ring; a lasting one is a node too slow for its load.',
        query: coverage.ratioOverTime,
        by: 'node',
        unit: 'percentunit',
        steps: COVERAGE_STEPS,
        stepS: MINUTE_S,
        lines: true,
        width: 12,
      }),
      timeSeries({
        title: 'Events lost by place',
        description:
          'ring: the probe was too slow. fanotify: too many descriptors. outbox: the bus was away too long. gap: no probe.',
        query: coverage.lostOverTime,
        by: 'lost_at',
        unit: 'short',
        stepS: MINUTE_S,
        width: 12,
      }),
      table({
        title: 'Places',
        description: 'Seen and lost at every place. The first one with a loss is the one to widen.',
        query: coverage.places,
        columns: {
          node: { links: toNode() },
          seen: { unit: 'short' },
          lost: { unit: 'short', steps: ANY_IS_BAD },
        },
        width: 24,
      }),
    ),
    row(
      'Gaps',
      table({
        title: 'Times without a probe',
        description:
          'missed: execs the census counted and the store lacks. Without a number: see Coverage low in the runbook.',
        query: coverage.unwatched,
        columns: { node: { links: toNode() }, missed: { unit: 'short', steps: ANY_IS_BAD } },
        width: 24,
        height: 8,
      }),
    ),
    row(
      'Digests',
      timeSeries({
        title: 'Strength of evidence',
        description:
          'Weak: written, unlinked or overwritten meanwhile. Its share grows with builds and upgrades. All nodes.',
        query: coverage.strengths,
        by: 'evidence',
        unit: 'short',
        stepS: HOUR_S,
        width: 12,
      }),
      table({
        title: 'Why digests are missing',
        description:
          'overload and timeout: more processor time for the probe; rate_limited: a higher rate. The README says why of the others.',
        query: coverage.reasons,
        columns: { runs: { unit: 'short' } },
        width: 12,
        height: 8,
      }),
    ),
    row(
      'Probes',
      table({
        title: 'Probes, longest silent first',
        description: 'Silent for over two minutes: nothing is seen on that node. See Probe silent in the runbook.',
        query: coverage.probes,
        columns: {
          node: { links: toNode() },
          silent_for: { unit: 's', steps: ['green', [SILENT_AFTER_S, 'red']] },
          outbox: { unit: 'short' },
        },
        width: 24,
      }),
      timeSeries({
        title: 'Outbox',
        description: 'Messages a probe could not hand to the bus yet. It must fall back to 0: see Outbox not draining.',
        query: coverage.outbox,
        by: 'node',
        unit: 'short',
        stepS: MINUTE_S,
        lines: true,
        width: 8,
      }),
      timeSeries({
        title: 'Files waiting for a digest',
        description:
          'A queue that stays long makes digests late, then missing: the probe gets too little of the processor.',
        query: coverage.waitingDigests,
        by: 'node',
        unit: 'short',
        stepS: MINUTE_S,
        lines: true,
        width: 8,
      }),
      timeSeries({
        title: 'Descriptors held',
        description: 'Files held open for hashing, two seconds at most each. Held ones make umount wait.',
        query: coverage.heldDescriptors,
        by: 'node',
        unit: 'short',
        stepS: MINUTE_S,
        lines: true,
        width: 8,
      }),
      timeSeries({
        title: 'Events unread in the ring',
        description: 'Of 8 MiB; when it is full, execs are lost, and counted. It must fall back to 0 between bursts.',
        query: coverage.ringBacklog,
        by: 'node',
        unit: 'bytes',
        stepS: MINUTE_S,
        lines: true,
        width: 12,
      }),
      timeSeries({
        title: 'Opened files unread in the kernel',
        description: 'Of 16,384; when the queue is full, digests are lost, and counted. Unread ones make umount wait.',
        query: coverage.fanotifyBacklog,
        by: 'node',
        unit: 'short',
        stepS: MINUTE_S,
        lines: true,
        width: 12,
      }),
    ),
    row(
      'Bus to store',
      timeSeries({
        title: 'Event to row, p99',
        description: 'From the probe to the store, by heartbeats. Growing: see Ingest behind in the runbook.',
        query: coverage.lag,
        by: 'node',
        unit: 'ms',
        stepS: MINUTE_S,
        lines: true,
        width: 12,
      }),
      timeSeries({
        title: 'Rows stored',
        description: 'By event type. Heartbeats alone: nothing runs, or the kernel side is not attached.',
        query: coverage.rowsStored,
        by: 'type',
        unit: 'rowsps',
        stepS: MINUTE_S,
        width: 12,
      }),
      stat({
        title: 'Size of an event on the bus',
        description: 'Bytes, before compression. Small messages cost more each; busy nodes fill theirs.',
        query: coverage.bytesPerEvent,
        unit: 'bytes',
        width: 6,
      }),
      table({
        title: 'Runs of probes, and holes in their messages',
        description: 'Messages with numbers that never came, by run of the probe. Its log of that time says why.',
        query: coverage.gaps,
        columns: { node: { links: toNode() }, missing: { unit: 'short', steps: ANY_IS_BAD } },
        width: 18,
      }),
    ),
  ],
});
