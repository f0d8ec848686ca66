/** The figures as README shows them, and the place where they stand there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Figure, missedBy } from './bench.ts';
import { machineText } from './machine.ts';
import type { Result } from './results.ts';
import type { Summary } from './stats.ts';

export const README_PATH = fileURLToPath(new URL('../../README.md', import.meta.url));
const BEGIN = '<!-- bench:begin -->';
const END = '<!-- bench:end -->';

/** Three significant digits, thousands apart; large counts in millions. */
export function numberText(value: number): string {
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  const rounded = Number(value.toPrecision(3));
  return Math.abs(rounded) >= 1000 ? rounded.toLocaleString('en-US') : String(rounded);
}

/** `median (low–high) unit`; a single measurement has no spread to show. */
export function summaryText({ median, low, high }: Summary, unit = ''): string {
  const spread = low === high ? '' : ` (${numberText(low)}–${numberText(high)})`;
  return `${numberText(median)}${spread}${unit === '' ? '' : ` ${unit}`}`;
}

/** The aim in words, and whether it is met: `≤ 10 µs, met`, or by what share it is missed. */
export function aimText(figure: Figure): string {
  if (figure.aim === undefined) return '';
  const { of, op, value } = figure.aim;
  const aim = of === 'ratio' ? `ratio ${op} ${value}` : `${op} ${numberText(value)} ${figure.unit}`;
  const missed = missedBy(figure);
  return missed === undefined ? `${aim}: met` : `${aim}: **missed** by ${numberText(missed * 100)} %`;
}

/** The measured value as README and the terminal show it. */
export function valueText({ value, unit, detail }: Figure): string {
  return detail === undefined ? summaryText(value, unit) : `${numberText(value.median)} ${unit} (${detail})`;
}

function cellsOf(figure: Figure): string[] {
  const { what, unit, baseline, ratio } = figure;
  const compared = baseline === undefined ? '' : `${summaryText(baseline.value, unit)}, ${baseline.what}`;
  return [what, valueText(figure), compared, ratio === undefined ? '' : summaryText(ratio), aimText(figure)];
}

const HEAD = ['', 'figure', 'baseline', 'ratio', 'aim'];

/** Columns as wide as their widest cell, as the formatter of this repository writes them. */
function alignedTable(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(3, ...[HEAD, ...rows].map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[], fill: string) =>
    `| ${widths.map((width, column) => cells[column]!.padEnd(width, fill)).join(' | ')} |`;
  return [line(HEAD, ' '), line(['', '', '', '', ''], '-'), ...rows.map((cells) => line(cells, ' '))];
}

/** A line for each reason, with all figures that it is the reason of. */
function reasonsOf(figures: readonly Figure[]): string[] {
  const missed = new Map<string, string[]>();
  for (const figure of figures) {
    const { what, whyMissed } = figure;
    if (whyMissed === undefined || missedBy(figure) === undefined) continue;
    missed.set(whyMissed, [...(missed.get(whyMissed) ?? []), `_${what}_`]);
  }
  return [...missed].map(([why, whats]) => `- ${whats.join(', ')}: ${why}`);
}

/** The whole section between the marks. Results of one machine share the line that names it. */
export function renderTable(results: readonly Result[]): string {
  const ran = results.filter(({ figures }) => figures.length > 0);
  const machines = new Map<string, Result[]>();
  for (const result of ran) {
    const text = machineText(result.machine);
    machines.set(text, [...(machines.get(text) ?? []), result]);
  }
  const on = [...machines].map(([machine, of]) => {
    const days = [...new Set(of.map(({ measured_at }) => measured_at.slice(0, 10)))].join(', ');
    const which = machines.size === 1 ? '' : ` (${of.map(({ name }) => name).join(', ')})`;
    const loads = of.map(({ load }) => load);
    return `Taken on ${days}: ${machine}${which}. Load average before: ${Math.min(...loads)}–${Math.max(...loads)}.`;
  });
  const rows = ran.flatMap(({ title, figures }) => [[`**${title}**`, '', '', '', ''], ...figures.map(cellsOf)]);
  const reasons = reasonsOf(ran.flatMap(({ figures }) => figures));
  const skipped = results.filter(({ skipped: why }) => why !== undefined);
  return [
    ...on,
    'Medians with the quartiles in brackets, where nothing else is said; baselines were measured in the same run.',
    '',
    ...alignedTable(rows),
    ...(reasons.length > 0 ? ['', 'Where an aim is missed:', '', ...reasons] : []),
    ...(skipped.length > 0 ? ['', ...skipped.map(({ name, skipped: why }) => `Not measured: ${name} (${why}).`)] : []),
  ].join('\n');
}

/** README with the section between the marks replaced. Throws where a mark is missing. */
export function withTable(readme: string, table: string): string {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md needs the marks ${BEGIN} and ${END}`);
  return `${readme.slice(0, begin + BEGIN.length)}\n${table}\n${readme.slice(end)}`;
}

export function writeTable(results: readonly Result[]): void {
  writeFileSync(README_PATH, withTable(readFileSync(README_PATH, 'utf8'), renderTable(results)));
}
