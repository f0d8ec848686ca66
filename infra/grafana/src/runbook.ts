/** RUNBOOK.md as a dashboard, one panel a section: an alert links to its own, wherever Grafana stands. */
import { readFileSync } from 'node:fs';
import { dashboard, row } from './dashboard.ts';
import { UIDS } from './links.ts';
import { text } from './panels.ts';
import { api } from './variables.ts';

export type Section = { readonly title: string; readonly body: string };

/** The second-level headings of the file, and what stands under them. */
export const SECTIONS: readonly Section[] = readFileSync(new URL('../RUNBOOK.md', import.meta.url), 'utf8')
  .split(/^## /m)
  .slice(1)
  .map((section) => {
    const end = section.indexOf('\n');
    return { title: section.slice(0, end).trim(), body: section.slice(end).trim() };
  });

export const runbookDashboard = dashboard({
  uid: UIDS.runbook,
  title: 'runbook',
  description: 'What to do when an alert fires. Made of infra/grafana/RUNBOOK.md.',
  from: 'now-1h',
  variables: [api],
  rows: [row('Runbook', ...SECTIONS.map(({ title, body }) => text(title, body, 12, 8)))],
});

/** Id of a section's panel; a rule whose section is missing does not pass. */
export function runbookPanelId(title: string): number {
  const panel = runbookDashboard.panels.find((each) => each.type === 'text' && each.title === title);
  if (panel === undefined) throw new Error(`RUNBOOK.md has no section ${title}`);
  return panel.id;
}
