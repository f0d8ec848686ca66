/** Puts panels under headings and numbers them; what comes out is the JSON that Grafana imports. */
import { type DashboardUid, dashboardLinks } from './links.ts';
import type { Panel } from './panels.ts';
import type { Variable } from './variables.ts';

/** Of Grafana 11 and later. */
const SCHEMA_VERSION = 39;
const COLUMNS = 24;

export type Row = { readonly title: string; readonly panels: readonly Panel[] };

export type DashboardFacts = {
  readonly uid: DashboardUid;
  readonly title: string;
  /** The question it answers. */
  readonly description: string;
  /** How far back it looks at first, such as `now-24h`. */
  readonly from: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
};

export type PanelJson = Readonly<Record<string, unknown>> & { readonly id: number; readonly title: string };
export type DashboardJson = Readonly<Record<string, unknown>> & {
  readonly uid: DashboardUid;
  readonly panels: readonly PanelJson[];
};

export function row(title: string, ...panels: readonly Panel[]): Row {
  return { title, panels };
}

export function dashboard({ uid, title, description, from, variables, rows }: DashboardFacts): DashboardJson {
  return {
    uid,
    title: `Bintrail: ${title}`,
    description,
    tags: ['bintrail'],
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    editable: false,
    graphTooltip: 1,
    timezone: 'browser',
    refresh: '1m',
    time: { from, to: 'now' },
    links: dashboardLinks(uid),
    annotations: { list: [] },
    templating: { list: variables },
    panels: layOut(rows),
  };
}

/** Headings over panels, left to right and then down; ids follow the order. */
function layOut(rows: readonly Row[]): PanelJson[] {
  const placed: PanelJson[] = [];
  let y = 0;
  const place = (title: string, gridPos: { x: number; w: number; h: number }, json: object) =>
    placed.push({ id: placed.length + 1, title, gridPos: { ...gridPos, y }, ...json });
  for (const { title, panels } of rows) {
    place(title, { x: 0, w: COLUMNS, h: 1 }, { type: 'row', collapsed: false, panels: [] });
    y += 1;
    let [x, lineHeight] = [0, 0];
    for (const { width, height, json } of panels) {
      if (x + width > COLUMNS) {
        y += lineHeight;
        [x, lineHeight] = [0, 0];
      }
      place(String(json.title), { x, w: width, h: height }, json);
      x += width;
      lineHeight = Math.max(lineHeight, height);
    }
    y += lineHeight;
  }
  return placed;
}
