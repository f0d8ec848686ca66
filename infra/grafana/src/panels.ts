/** The panels Bintrail uses, as Grafana 11 and later store them. A panel is named, says what to do, and has a unit. */

export const DATASOURCE = { type: 'grafana-clickhouse-datasource', uid: 'bintrail-clickhouse' } as const;
/** Version of grafana-clickhouse-datasource that these queries are written for. */
const PLUGIN_VERSION = '4.0.0';

/** Ids of Grafana's units. */
export type Unit = 'none' | 'short' | 'percentunit' | 's' | 'ms' | 'bytes' | 'rowsps' | 'dateTimeFromNow';
export type Color = 'green' | 'yellow' | 'red' | 'text';
/** From each value on another colour; the first holds below all. */
export type Steps = readonly [Color, ...(readonly [from: number, color: Color])[]];
export type Link = { readonly title: string; readonly url: string };

type Facts = {
  readonly title: string;
  /** What it shows, and what to do about it. */
  readonly description: string;
  readonly query: string;
  /** Of 24 columns. */
  readonly width: number;
};
type Measured = Facts & { readonly unit: Unit; readonly steps?: Steps };
type Json = Readonly<Record<string, unknown>>;
export type Panel = { readonly width: number; readonly height: number; readonly json: Json };

export const HEALTHY: Steps = ['text'];
export const ANY_IS_BAD: Steps = ['green', [1, 'red']];
export const ANY_IS_WORTH_A_LOOK: Steps = ['text', [1, 'yellow']];

/** A query in the plugin's own form; `format` 0 is time series (long rows, one series per text), 1 a table. */
export function target(query: string, format: 'timeseries' | 'table'): Json {
  return {
    refId: 'A',
    datasource: DATASOURCE,
    editorType: 'sql',
    pluginVersion: PLUGIN_VERSION,
    queryType: format,
    format: format === 'table' ? 1 : 0,
    rawSql: query,
  };
}

function thresholds(steps: Steps): Json {
  const [below, ...rest] = steps;
  return {
    mode: 'absolute',
    steps: [{ color: below, value: null }, ...rest.map(([value, color]) => ({ color, value }))],
  };
}

function panel(type: string, height: number, { title, description, width }: Facts, rest: Json): Panel {
  return { width, height, json: { type, title, description, datasource: DATASOURCE, ...rest } };
}

/** One number. */
export function stat(facts: Measured): Panel {
  return panel('stat', 4, facts, {
    targets: [target(facts.query, 'table')],
    fieldConfig: {
      defaults: {
        unit: facts.unit,
        color: { mode: 'thresholds' },
        thresholds: thresholds(facts.steps ?? HEALTHY),
        noValue: 'nothing',
      },
      overrides: [],
    },
    options: {
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      colorMode: 'value',
      graphMode: 'none',
    },
  });
}

/**
 * A line per value of the query's text column `by`. `stepS`: no interval is shorter; the time between the rows stored.
 * Without `lines` the values are stacked bars.
 */
export function timeSeries(
  facts: Measured & { readonly by: string; readonly stepS: number; readonly lines?: boolean },
): Panel {
  const custom = facts.lines
    ? { drawStyle: 'line', lineWidth: 1, fillOpacity: 5, showPoints: 'auto', spanNulls: false }
    : { drawStyle: 'bars', fillOpacity: 80, lineWidth: 0, stacking: { mode: 'normal', group: 'A' } };
  return panel('timeseries', 8, facts, {
    interval: `${facts.stepS}s`,
    targets: [target(facts.query, 'timeseries')],
    fieldConfig: {
      defaults: {
        unit: facts.unit,
        displayName: `\${__field.labels.${facts.by}}`,
        min: 0,
        color: { mode: 'palette-classic' },
        custom: { ...custom, thresholdsStyle: { mode: facts.steps === undefined ? 'off' : 'line' } },
        thresholds: thresholds(facts.steps ?? HEALTHY),
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  });
}

/** What a column of a table is: its unit, what its values lead to, colours. */
export type Column = { readonly unit?: Unit; readonly links?: readonly Link[]; readonly steps?: Steps };

/** Rows as they come, sortable and filterable; cells are shown as text, never as markup. */
export function table(
  facts: Facts & { readonly columns: Readonly<Record<string, Column>>; readonly height?: number },
): Panel {
  const overrides = Object.entries(facts.columns).map(([name, { unit, links, steps }]) => ({
    matcher: { id: 'byName', options: name },
    properties: [
      ...(unit === undefined ? [] : [{ id: 'unit', value: unit }]),
      ...(links === undefined ? [] : [{ id: 'links', value: links }]),
      ...(steps === undefined
        ? []
        : [
            { id: 'thresholds', value: thresholds(steps) },
            { id: 'custom.cellOptions', value: { type: 'color-text' } },
          ]),
    ],
  }));
  return panel('table', facts.height ?? 9, facts, {
    targets: [target(facts.query, 'table')],
    fieldConfig: {
      defaults: { unit: 'none', custom: { filterable: true, align: 'auto', inspect: true } },
      overrides,
    },
    options: { showHeader: true, cellHeight: 'sm' },
  });
}

/** Markdown. */
export function text(title: string, content: string, width = 24, height = 6): Panel {
  return { width, height, json: { type: 'text', title, options: { mode: 'markdown', content } } };
}
