import { dashboard, row } from '../dashboard.ts';
import { toNode, toWorkload, UIDS } from '../links.ts';
import { stat, table, timeSeries } from '../panels.ts';
import * as binary from '../queries/binary.ts';
import { anyWorkload, api, node, sha256 } from '../variables.ts';
import { HOUR_S } from './steps.ts';

export const binaryDashboard = dashboard({
  uid: UIDS.binary,
  title: 'one binary',
  description: 'Where one content ran, when, and who started it. Paste its SHA-256; bad ones go into a deny rule.',
  from: 'now-30d',
  variables: [sha256, anyWorkload, node, api],
  rows: [
    row(
      'At a glance',
      stat({
        title: 'Runs',
        description: 'None: widen the time, and read Coverage before you say that it never ran.',
        query: binary.runs,
        unit: 'short',
        width: 4,
      }),
      stat({
        title: 'Nodes',
        description: 'Nodes it ran on in this time. For a bad one, these are the hosts to isolate.',
        query: binary.nodes,
        unit: 'short',
        width: 5,
      }),
      stat({
        title: 'Workloads',
        description: 'Workloads it ran in. One that is not like the others is where to begin.',
        query: binary.workloads,
        unit: 'short',
        width: 5,
      }),
      stat({
        title: 'First seen',
        description: 'At any time, whatever the window. Compare it with the deployments of that day.',
        query: binary.firstSeen,
        unit: 'dateTimeFromNow',
        width: 5,
      }),
      stat({
        title: 'Last seen started',
        description: 'At any time. It may still run: the API says so (GET /v1/binaries/{sha256}, running).',
        query: binary.lastSeen,
        unit: 'dateTimeFromNow',
        width: 5,
      }),
    ),
    row(
      'Where',
      table({
        title: 'Nodes, workloads and paths',
        description: 'Every place it ran from. One content under several names is how it is disguised.',
        query: binary.where,
        columns: { node: { links: toNode() }, workload: { links: toWorkload() }, runs: { unit: 'short' } },
        width: 24,
      }),
      table({
        title: 'How it is known',
        description:
          'Strength of the digest, and what the package says. A mismatch is a changed file; weak evidence is a hint.',
        query: binary.evidence,
        columns: { runs: { unit: 'short' } },
        width: 24,
        height: 6,
      }),
    ),
    row(
      'When',
      timeSeries({
        title: 'Runs by node',
        description: 'The order in which nodes appear is the way it spread.',
        query: binary.when,
        by: 'node',
        unit: 'short',
        stepS: HOUR_S,
        width: 24,
      }),
    ),
    row(
      'Who (raw events, 90 days)',
      table({
        title: 'Users and parents',
        description: 'Who started it, through what. Follow the parent that does not belong.',
        query: binary.who,
        columns: { workload: { links: toWorkload() }, runs: { unit: 'short' } },
        width: 24,
      }),
      table({
        title: 'Latest runs',
        description:
          'Single runs with their arguments, secrets removed. Note time and node before you collect evidence.',
        query: binary.latest,
        columns: { node: { links: toNode() }, workload: { links: toWorkload() } },
        width: 24,
        height: 12,
      }),
    ),
  ],
});
