import { dashboard, row } from '../dashboard.ts';
import { toBinary, toFinding, toNode, UIDS } from '../links.ts';
import { ANY_IS_WORTH_A_LOOK, stat, table, timeSeries } from '../panels.ts';
import { ofWorkload } from '../queries/findings.ts';
import * as one from '../queries/workload.ts';
import { api, workload } from '../variables.ts';
import { DIGEST_STEPS, HOUR_S } from './steps.ts';

export const workloadDashboard = dashboard({
  uid: UIDS.workload,
  title: 'one workload',
  description: 'What a workload normally runs, what is new in it, and who starts what.',
  from: 'now-7d',
  variables: [workload, api],
  rows: [
    row(
      'At a glance',
      stat({
        title: 'Runs',
        description: 'Programs and scripts it started. None: it is idle, or its node is silent; see Coverage.',
        query: one.runs,
        unit: 'short',
        width: 4,
      }),
      stat({
        title: 'Binaries',
        description: 'Distinct contents. A service has few; an interactive session has many.',
        query: one.binaries,
        unit: 'short',
        width: 5,
      }),
      stat({
        title: 'New binaries',
        description: 'Contents this workload had never run before this time. Each should belong to a deployment.',
        query: one.newBinaries,
        unit: 'short',
        steps: ANY_IS_WORTH_A_LOOK,
        width: 5,
      }),
      stat({
        title: 'Runs with a digest',
        description: 'Of the rest we know the path only. The reasons stand in the table of programs.',
        query: one.withDigest,
        unit: 'percentunit',
        steps: DIGEST_STEPS,
        width: 5,
      }),
      stat({
        title: 'Runs with a strong digest',
        description: 'Digests that are certain (exact, alive). Only these explain or approve anything by themselves.',
        query: one.strong,
        unit: 'percentunit',
        steps: DIGEST_STEPS,
        width: 5,
      }),
      timeSeries({
        title: 'Runs of its ten most frequent programs',
        description:
          'The rhythm of the workload. A program that appears or stops without a deployment is worth a look.',
        query: one.runsByPath,
        by: 'path',
        unit: 'short',
        stepS: HOUR_S,
        width: 24,
      }),
    ),
    row(
      'What is new, and what was found',
      table({
        title: 'New binaries, newest first',
        description: 'Follow the digest of what you do not know: where else it runs, and who started it.',
        query: one.newBinariesList,
        columns: { digest: { links: toBinary() }, runs: { unit: 'short' } },
        width: 24,
      }),
      table({
        title: 'Findings',
        description: 'Open ones first. Acknowledge, resolve or approve through the API; the runbook says how.',
        query: ofWorkload,
        columns: { digest: { links: toBinary() }, node: { links: toNode() }, finding: { links: toFinding() } },
        width: 24,
      }),
    ),
    row(
      'What it runs',
      table({
        title: 'Programs and scripts',
        description:
          'Everything seen, with its evidence. Approve by package where one matches, by digest where none does.',
        query: one.programs,
        columns: { digest: { links: toBinary() }, runs: { unit: 'short' } },
        width: 24,
        height: 12,
      }),
      table({
        title: 'Who starts what',
        description: 'Parent, child and user. A server that starts a shell, or a user id you do not expect, is a lead.',
        query: one.parents,
        columns: { runs: { unit: 'short' } },
        width: 12,
      }),
      table({
        title: 'Nodes and images',
        description: 'Where it runs. Numbers of binaries should agree among nodes with the same image.',
        query: one.nodes,
        columns: { node: { links: toNode() }, runs: { unit: 'short' } },
        width: 12,
      }),
    ),
  ],
});
