import { dashboard, row } from '../dashboard.ts';
import { toBinary, toFinding, toNode, toWorkload, UIDS } from '../links.ts';
import { ANY_IS_WORTH_A_LOOK, stat, table, text, timeSeries } from '../panels.ts';
import * as findings from '../queries/findings.ts';
import { anyWorkload, api, rule } from '../variables.ts';
import { HOUR_S } from './steps.ts';

const DELIVERY = `Deliveries are not in ClickHouse. What became of each post to Slack is counted by Bintrail itself, at
\`/metrics\` of the API (\`notify_posts_total\`, \`notify_groups_waiting\`, \`notify_webhook_rejected\`), and the last post
stands in \`/healthz\`. The table of alert groups shows what *should* have been told: **one message per group**.`;

export const findingsDashboard = dashboard({
  uid: UIDS.findings,
  title: 'findings and alerts',
  description: 'What was found, what people did about it, and what Slack should have been told.',
  from: 'now-7d',
  variables: [anyWorkload, rule, api],
  rows: [
    row(
      'State of things (approvals are not counted in: the API judges them)',
      stat({
        title: 'Open',
        description: 'Seen in this time and answered by nobody. Begin with the table below.',
        query: findings.open,
        unit: 'short',
        steps: ANY_IS_WORTH_A_LOOK,
        width: 4,
      }),
      stat({
        title: 'Acknowledged',
        description: 'Somebody is at it. Ask the actor named in the table if it is old.',
        query: findings.acknowledged,
        unit: 'short',
        width: 5,
      }),
      stat({
        title: 'Resolved',
        description: 'Resolved, and not run since. A later run opens it again.',
        query: findings.resolved,
        unit: 'short',
        width: 5,
      }),
      stat({
        title: 'First seen in this time',
        description: 'New findings. Many of one rule at once: one deployment, one approval.',
        query: findings.firstSeen,
        unit: 'short',
        width: 5,
      }),
      stat({
        title: 'Median time to an answer',
        description:
          'From the first sight to the first action. Over a working day: too many findings, or too few eyes.',
        query: findings.answeredAfter,
        unit: 's',
        width: 5,
      }),
    ),
    row(
      'Findings',
      timeSeries({
        title: 'New findings by rule',
        description: 'A burst is one cause. Group by path in the table, then approve or act once.',
        query: findings.newOverTime,
        by: 'rule',
        unit: 'short',
        stepS: HOUR_S,
        width: 24,
      }),
      table({
        title: 'Findings, open ones first',
        description: 'Follow the digest for where and who; answer through the API with the finding id.',
        query: findings.list,
        columns: {
          workload: { links: toWorkload() },
          node: { links: toNode() },
          digest: { links: toBinary() },
          finding: { links: toFinding() },
          runs: { unit: 'short' },
        },
        width: 24,
        height: 14,
      }),
      table({
        title: 'What people did',
        description: 'Actions as the API stored them. Disagree: act again, the newest counts.',
        query: findings.actions,
        columns: { finding: { links: toFinding() } },
        width: 24,
      }),
    ),
    row(
      'Alert delivery',
      table({
        title: 'Alert groups',
        description:
          'One Slack message each. A group you were not told of: check /healthz and /metrics, see the runbook.',
        query: findings.alertGroups,
        columns: { runs: { unit: 'short' }, open: { steps: ANY_IS_WORTH_A_LOOK } },
        width: 24,
      }),
      stat({
        title: 'Event to stored finding, p99',
        description:
          'From the run to the finding in the store. Seconds are normal; minutes: see Ingest behind in the runbook.',
        query: findings.storedAfter,
        unit: 'ms',
        steps: ['green', [5_000, 'yellow'], [60_000, 'red']],
        width: 6,
      }),
      stat({
        title: 'Evidence repeated',
        description:
          'Findings that detect published again, after a restart say. Slack is still told once; nothing to do.',
        query: findings.repeatedEvidence,
        unit: 'short',
        width: 6,
      }),
      text('Posts to Slack', DELIVERY, 12, 4),
    ),
  ],
});
