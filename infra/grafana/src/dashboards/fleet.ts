import { dashboard, row } from '../dashboard.ts';
import { toBinary, toNode, toWorkload, UIDS } from '../links.ts';
import { ANY_IS_BAD, ANY_IS_WORTH_A_LOOK, stat, table, timeSeries } from '../panels.ts';
import * as fleet from '../queries/fleet.ts';
import { api, node } from '../variables.ts';
import { COVERAGE_STEPS, HOUR_S } from './steps.ts';

export const fleetDashboard = dashboard({
  uid: UIDS.fleet,
  title: 'fleet',
  description: 'What runs in the fleet, what is new in it, and how much of it was seen.',
  from: 'now-24h',
  variables: [node, api],
  rows: [
    row(
      'May I believe this?',
      stat({
        title: 'Coverage',
        description:
          'Share of kernel events that were not lost on their way. Below 99.9 %: Coverage shows where they were.',
        query: fleet.coverage,
        unit: 'percentunit',
        steps: COVERAGE_STEPS,
        width: 4,
      }),
      stat({
        title: 'Events lost',
        description: 'Events counted as lost, at every place together. Coverage shows the place and the node.',
        query: fleet.lost,
        unit: 'short',
        steps: ANY_IS_WORTH_A_LOOK,
        width: 4,
      }),
      stat({
        title: 'Nodes reporting',
        description:
          'Nodes whose probe gave a sign of life in the last two minutes. Fewer than you have: install the rest.',
        query: fleet.nodesReporting,
        unit: 'short',
        width: 4,
      }),
      stat({
        title: 'Nodes silent',
        description:
          'Nodes that reported in this time and no longer do. Nothing is seen there: see Probe silent in the runbook.',
        query: fleet.nodesSilent,
        unit: 'short',
        steps: ANY_IS_BAD,
        width: 4,
      }),
      stat({
        title: 'Nodes replaying',
        description: 'Above 0, part of what is shown is a recorded sample and did not happen here.',
        query: fleet.nodesReplaying,
        unit: 'short',
        steps: ANY_IS_WORTH_A_LOOK,
        width: 4,
      }),
      stat({
        title: 'Open findings',
        description: 'Findings nobody answered, of all nodes. Open Findings, begin with the severest.',
        query: fleet.openFindings,
        unit: 'short',
        steps: ANY_IS_WORTH_A_LOOK,
        width: 4,
      }),
    ),
    row(
      'What ran',
      stat({
        title: 'Runs',
        description:
          'Programs and scripts started. A jump without a deployment is worth a look at the workloads below.',
        query: fleet.runs,
        unit: 'short',
        width: 6,
      }),
      stat({
        title: 'Binaries',
        description: 'Distinct contents that ran. It should hardly move between deployments.',
        query: fleet.binaries,
        unit: 'short',
        width: 6,
      }),
      stat({
        title: 'New binaries',
        description: 'Contents never seen before this time, on any node. Each should belong to a change you know of.',
        query: fleet.newBinaries,
        unit: 'short',
        steps: ANY_IS_WORTH_A_LOOK,
        width: 6,
      }),
      stat({
        title: 'Workloads',
        description: 'Services, containers, sessions and hosts in which something ran.',
        query: fleet.workloads,
        unit: 'short',
        width: 6,
      }),
      timeSeries({
        title: 'Runs by role',
        description: 'What was started: programs, scripts, libraries, loaders. Look into the workloads where it jumps.',
        query: fleet.runsByRole,
        by: 'role',
        unit: 'short',
        stepS: HOUR_S,
        width: 12,
      }),
      timeSeries({
        title: 'Runs by evidence',
        description: 'With a digest, or the reason there is none. Reasons that grow are explained under Coverage.',
        query: fleet.runsByEvidence,
        by: 'evidence',
        unit: 'short',
        stepS: HOUR_S,
        width: 12,
      }),
    ),
    row(
      'Where to look',
      table({
        title: 'New binaries, newest first',
        description:
          'Where each new content was first seen. Unknown to you: follow its digest, then approve it or act.',
        query: fleet.newBinariesList,
        columns: {
          workload: { links: toWorkload() },
          node: { links: toNode() },
          digest: { links: toBinary() },
          runs: { unit: 'short' },
        },
        width: 24,
      }),
      table({
        title: 'Files that differ from their package',
        description:
          'A package owns the path and recorded other content. Reinstall the package, or find who replaced it.',
        query: fleet.differing,
        columns: { workload: { links: toWorkload() }, node: { links: toNode() }, digest: { links: toBinary() } },
        width: 24,
      }),
      table({
        title: 'Workloads, most active first',
        description: 'Runs outside packages, and runs that differ from theirs, are what approvals are for.',
        query: fleet.workloadList,
        columns: {
          workload: { links: toWorkload() },
          runs: { unit: 'short' },
          unpackaged: { unit: 'short' },
          differing: { unit: 'short', steps: ANY_IS_BAD },
        },
        width: 24,
      }),
    ),
  ],
});
