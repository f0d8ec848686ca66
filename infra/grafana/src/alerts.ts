/** Alert rules. Each leads to the panel that shows it, and to the section of the runbook that has its title. */
import type { DashboardJson } from './dashboard.ts';
import { binaryDashboard } from './dashboards/binary.ts';
import { coverageDashboard } from './dashboards/coverage.ts';
import { findingsDashboard } from './dashboards/findings.ts';
import { fleetDashboard } from './dashboards/fleet.ts';
import { COVERAGE_AIM, DIGEST_AIM } from './dashboards/steps.ts';
import { workloadDashboard } from './dashboards/workload.ts';
import { UIDS } from './links.ts';
import { DATASOURCE, target } from './panels.ts';
import * as ask from './queries/alerts.ts';
import { runbookPanelId } from './runbook.ts';
import { SILENT_AFTER_S } from './sql.ts';

export const DASHBOARDS = [fleetDashboard, workloadDashboard, binaryDashboard, findingsDashboard, coverageDashboard];

type Rule = {
  readonly uid: string;
  readonly title: string;
  readonly severity: 'page' | 'ticket';
  readonly query: string;
  /** What the query's time macros reach over, seconds before now. */
  readonly range: readonly [fromS: number, toS: number];
  readonly fires: readonly ['above' | 'below', number];
  /** How long it must hold. */
  readonly forS: number;
  /** No rows at all: fine, or what the alert is about. */
  readonly noRows: 'OK' | 'Alerting';
  readonly summary: string;
  readonly shownBy: readonly [DashboardJson, panelTitle: string];
};

const MINUTE_S = 60;
const DAY_S = 86_400;
// Annotations are Go templates; names with a dollar sign would be read as environment variables.
const NODE = '{{ .Labels.node }}';
const GRAFANA = '{{ externalURL | reReplaceAll "/+\\\\z" "" }}';

export const RULES: readonly Rule[] = [
  {
    uid: 'bintrail-findings-unanswered',
    title: 'Findings unanswered',
    severity: 'page',
    query: ask.unansweredFindings,
    range: [DAY_S, 15 * MINUTE_S],
    fires: ['above', 0],
    forS: 0,
    noRows: 'OK',
    summary: 'Findings of the last day are open, and nobody has answered them for 15 minutes.',
    shownBy: [findingsDashboard, 'Findings, open ones first'],
  },
  {
    uid: 'bintrail-coverage-low',
    title: 'Coverage low',
    severity: 'page',
    query: ask.coverage,
    range: [15 * MINUTE_S, 0],
    fires: ['below', COVERAGE_AIM],
    forS: 5 * MINUTE_S,
    noRows: 'OK',
    summary: `Less than ${COVERAGE_AIM * 100} % of the events on ${NODE} were seen in the last 15 minutes.`,
    shownBy: [coverageDashboard, 'Coverage by node'],
  },
  {
    uid: 'bintrail-probe-silent',
    title: 'Probe silent',
    severity: 'page',
    query: ask.silentFor,
    range: [DAY_S, 0],
    fires: ['above', SILENT_AFTER_S],
    forS: 0,
    noRows: 'Alerting',
    summary: `The probe on ${NODE} gave no sign of life for more than ${SILENT_AFTER_S} seconds.`,
    shownBy: [coverageDashboard, 'Probes, longest silent first'],
  },
  {
    uid: 'bintrail-outbox-stuck',
    title: 'Outbox not draining',
    severity: 'page',
    query: ask.outbox,
    range: [10 * MINUTE_S, 0],
    fires: ['above', 100],
    forS: 0,
    noRows: 'OK',
    summary: `The probe on ${NODE} has held more than 100 messages back for 10 minutes.`,
    shownBy: [coverageDashboard, 'Outbox'],
  },
  {
    uid: 'bintrail-messages-missing',
    title: 'Messages missing',
    severity: 'ticket',
    query: ask.missing,
    range: [6 * 60 * MINUTE_S, 0],
    fires: ['above', 0],
    forS: 10 * MINUTE_S,
    noRows: 'OK',
    summary: `Messages of ${NODE} never reached the store.`,
    shownBy: [coverageDashboard, 'Runs of probes, and holes in their messages'],
  },
  {
    uid: 'bintrail-ingest-behind',
    title: 'Ingest behind',
    severity: 'page',
    query: ask.lag,
    range: [5 * MINUTE_S, 0],
    fires: ['above', 60],
    forS: 5 * MINUTE_S,
    noRows: 'OK',
    summary: `Events of ${NODE} take more than a minute to the store.`,
    shownBy: [coverageDashboard, 'Event to row, p99'],
  },
  {
    uid: 'bintrail-digests-missing',
    title: 'Digests missing',
    severity: 'ticket',
    query: ask.withDigest,
    range: [60 * MINUTE_S, 0],
    fires: ['below', DIGEST_AIM],
    forS: 15 * MINUTE_S,
    noRows: 'OK',
    summary: `Less than ${DIGEST_AIM * 100} % of what ran on ${NODE} carries a digest.`,
    shownBy: [coverageDashboard, 'Why digests are missing'],
  },
];

/** Id of the panel with this title; a rule that names none is a mistake in this file. */
function panelId({ panels, uid }: DashboardJson, title: string): number {
  const panel = panels.find((each) => each.title === title);
  if (panel === undefined) throw new Error(`${uid} has no panel ${title}`);
  return panel.id;
}

function provisioned({ uid, title, severity, query, range, fires, forS, noRows, summary, shownBy }: Rule): object {
  const [dashboard, panelTitle] = shownBy;
  const [from, to] = range;
  const panel = panelId(dashboard, panelTitle);
  const evaluator = { type: fires[0] === 'above' ? 'gt' : 'lt', params: [fires[1]] };
  return {
    uid,
    title,
    condition: 'fires',
    for: `${forS}s`,
    noDataState: noRows,
    execErrState: 'Error',
    dashboardUid: dashboard.uid,
    panelId: panel,
    labels: { severity, product: 'bintrail' },
    annotations: {
      summary,
      runbook_url: `${GRAFANA}/d/${UIDS.runbook}?viewPanel=panel-${runbookPanelId(title)}`,
      __dashboardUid__: dashboard.uid,
      __panelId__: String(panel),
    },
    data: [
      {
        refId: 'A',
        datasourceUid: DATASOURCE.uid,
        relativeTimeRange: { from, to },
        model: target(query, 'table'),
      },
      {
        refId: 'fires',
        datasourceUid: '__expr__',
        relativeTimeRange: { from, to },
        model: { refId: 'fires', type: 'threshold', expression: 'A', conditions: [{ evaluator }] },
      },
    ],
  };
}

/** What Grafana reads from its folder `provisioning/alerting`. */
export function alertProvisioning(): object {
  const groups = [{ orgId: 1, name: 'bintrail', folder: 'Bintrail', interval: '1m', rules: RULES.map(provisioned) }];
  return { apiVersion: 1, groups };
}
