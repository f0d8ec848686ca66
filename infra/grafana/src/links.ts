/** Ways from one dashboard to another, and to the API. Values travel percent-encoded: workload ids contain `/`. */
import type { Link } from './panels.ts';

export const UIDS = {
  fleet: 'bintrail-fleet',
  workload: 'bintrail-workload',
  binary: 'bintrail-binary',
  findings: 'bintrail-findings',
  coverage: 'bintrail-coverage',
  runbook: 'bintrail-runbook',
} as const;
export type DashboardName = keyof typeof UIDS;
export type DashboardUid = (typeof UIDS)[DashboardName];

const TITLES: Readonly<Record<DashboardName, string>> = {
  fleet: 'Fleet',
  workload: 'Workload',
  binary: 'Binary',
  findings: 'Findings',
  coverage: 'Coverage',
  runbook: 'Runbook',
};

const variable = (name: string) => `\${${name}}`;
const API = variable('api');
const KEEP = `${variable('api:queryparam')}&${variable('__url_time_range')}`;
const cell = (column: string) => variable(`__data.fields.${column}:percentencode`);
const to = (name: DashboardName, title: string, values: string): Link => ({
  title,
  url: `/d/${UIDS[name]}?${values}&${KEEP}`,
});

// Each answers the links of one column of a table; the argument is the column they read.
export const toWorkload = (column = 'workload'): Link[] => [
  to('workload', 'What this workload runs', `var-workload=${cell(column)}`),
  { title: 'API: its profile (needs a token)', url: `${API}/v1/workloads/profile?workload=${cell(column)}` },
];
export const toBinary = (column = 'digest'): Link[] => [
  to('binary', 'Where, when and who', `var-sha256=${cell(column)}`),
  { title: 'API: verdict and what still runs (needs a token)', url: `${API}/v1/binaries/${cell(column)}` },
];
export const toNode = (column = 'node'): Link[] => [
  to('coverage', 'How complete this node is', `var-node=${cell(column)}`),
  to('fleet', 'What ran on this node', `var-node=${cell(column)}`),
];
export const toFinding = (column = 'finding'): Link[] => [
  { title: 'API: evidence, verdict and count (needs a token)', url: `${API}/v1/findings/${cell(column)}` },
];

/** The bar at the top: every other dashboard, with the variables and the time, and the API's own pages. */
export function dashboardLinks(uid: DashboardUid): object[] {
  const others = (Object.keys(UIDS) as DashboardName[]).filter((name) => UIDS[name] !== uid);
  const link = { type: 'link', icon: 'external link', tags: [], asDropdown: false, tooltip: '' };
  return [
    ...others.map((name) => ({
      ...link,
      ...{ title: TITLES[name], url: `/d/${UIDS[name]}`, icon: 'dashboard' },
      ...{ includeVars: true, keepTime: true, targetBlank: false },
    })),
    ...[
      { title: 'API', url: `${API}/docs` },
      { title: 'API health', url: `${API}/healthz` },
    ].map((page) => ({ ...link, ...page, includeVars: false, keepTime: false, targetBlank: true })),
  ];
}
