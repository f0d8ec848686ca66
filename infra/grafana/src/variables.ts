/** What a reader chooses at the top of a dashboard. */
import { RULES } from '@bintrail/schemas/finding.ts';
import { DATASOURCE } from './panels.ts';
import { nodeOptions, workloadOptions } from './queries/fleet.ts';
import { ALL, type VariableName } from './sql.ts';

export type Variable = { readonly name: VariableName | 'api'; readonly type: string } & Readonly<
  Record<string, unknown>
>;

const EVERY = { includeAll: true, allValue: ALL, current: { text: 'All', value: '$__all' } };
// Asked when the dashboard opens: an answer by the time chosen would drop what a link came for.
const ON_LOAD = 1;

function fromQuery(name: VariableName, label: string, query: string, all: boolean): Variable {
  return {
    name,
    label,
    type: 'query',
    datasource: DATASOURCE,
    query,
    definition: query,
    refresh: ON_LOAD,
    sort: 0,
    multi: false,
    regex: '',
    ...(all ? EVERY : { includeAll: false, current: {} }),
  };
}

function textBox(name: Variable['name'], label: string, value: string, description: string): Variable {
  const current = { text: value, value };
  return {
    name,
    label,
    description,
    type: 'textbox',
    query: value,
    current,
    options: [{ ...current, selected: true }],
  };
}

export const node = fromQuery('node', 'Node', nodeOptions, true);
export const workload = fromQuery('workload', 'Workload', workloadOptions, false);
export const anyWorkload = fromQuery('workload', 'Workload', workloadOptions, true);
export const sha256 = textBox(
  'sha256',
  'SHA-256',
  '',
  'A digest in hex. Paste one, or come here from another dashboard.',
);
export const rule: Variable = {
  name: 'rule',
  label: 'Rule',
  type: 'custom',
  query: RULES.join(','),
  options: [],
  multi: false,
  ...EVERY,
};
export const api = textBox(
  'api',
  'API',
  'http://127.0.0.1:7070',
  'Where links to the API lead: its address, without a slash at the end.',
);
