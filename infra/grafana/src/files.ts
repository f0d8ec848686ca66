/** Everything that is generated, by its path under infra/grafana. */
import { stringify } from 'yaml';
import { alertProvisioning, DASHBOARDS } from './alerts.ts';
import { runbookDashboard } from './runbook.ts';

const NOTICE = '# Generated from src/alerts.ts: change that, then `npm run generate -w @bintrail/grafana`.\n';

export function generatedFiles(): ReadonlyMap<string, string> {
  const dashboards = [...DASHBOARDS, runbookDashboard].map((each): [string, string] => [
    `dashboards/${each.uid}.json`,
    `${JSON.stringify(each, undefined, 2)}\n`,
  ]);
  const rules = NOTICE + stringify(alertProvisioning(), { lineWidth: 0, aliasDuplicateObjects: false });
  return new Map([...dashboards, ['provisioning/alerting/bintrail.yaml', rules]]);
}
