import { SEVERITIES } from '@bintrail/schemas/finding.ts';
import type { Alert } from './alert.ts';
import { type Block, header, LIMITS, type SlackMessage, section, sizeOf } from './block-kit.ts';
import { type ApiAccess, listFindings } from './commands.ts';
import { containerNote, REPEAT_NOTE } from './describe.ts';
import { code, commandBlock } from './mrkdwn.ts';
import { silenceItem } from './silence-message.ts';

/** How many groups one summary lists at most: as many as one screen shows, and well below Slack's limits. */
export const MAX_LISTED = 30;

const MAX_COMMAND_CHARS = 2800;
const REPEAT_MARK = ':warning: may be a repeat: ';

/** The groups a summary lists are the first `listed` of those handed in; the rest has to wait for the next one. */
export type Summary = { readonly message: SlackMessage; readonly listed: number };

/** An alert with its line, which does not depend on what it is listed with. */
type Item = { readonly alert: Alert; readonly line: string };

/** One message for many groups that have waited, worst first, one line each. At least one is always listed. */
export function summaryMessage(alerts: readonly Alert[], access: ApiAccess): Summary {
  const items = itemsOf(alerts);
  for (let listed = items.length; ; listed--) {
    const shown = items.slice(0, listed);
    const text = overview(shown, alerts.length - listed);
    const blocks = summaryBlocks(text, shown, access);
    if (listed <= 1 || sizeOf(blocks) <= LIMITS.messageChars) return { message: { text, blocks }, listed };
  }
}

/** The same without blocks; see `plainMessage`. */
export function plainSummary(alerts: readonly Alert[]): Summary {
  const items = itemsOf(alerts);
  for (let listed = items.length; ; listed--) {
    const shown = items.slice(0, listed);
    const text = [overview(shown, alerts.length - listed), ...linesOf(shown)].join('\n');
    if (listed <= 1 || text.length <= LIMITS.textChars) return { message: { text }, listed };
  }
}

function itemsOf(alerts: readonly Alert[]): Item[] {
  return alerts.slice(0, MAX_LISTED).map((alert) => ({ alert, line: lineOf(alert) }));
}

function summaryBlocks(title: string, shown: readonly Item[], access: ApiAccess): Block[] {
  const repeats = shown.some(({ alert }) => alert.mayRepeat);
  const command = commandBlock(listFindings(access), MAX_COMMAND_CHARS);
  return [
    header(title),
    ...(repeats ? [section(`${REPEAT_NOTE} This holds for the lines marked so.`)] : []),
    ...paragraphs(linesOf(shown)).map(section),
    ...(command !== undefined ? [section(`*All of them, with evidence*\n${command}`)] : []),
  ];
}

/** Words of ours only: it becomes a header. */
function overview(shown: readonly Item[], rest: number): string {
  const counts = SEVERITIES.flatMap((severity) => {
    const n = shown.filter(({ alert }) => alert.finding.severity === severity).length;
    return n > 0 ? [`${n} ${severity}`] : [];
  });
  return `${shown.length} findings: ${counts.join(', ')}${rest > 0 ? `; ${rest} more follow` : ''}`;
}

/** Worst first. */
function linesOf(shown: readonly Item[]): string[] {
  const rank = ({ alert }: Item) => SEVERITIES.indexOf(alert.finding.severity);
  return shown.toSorted((a, b) => rank(a) - rank(b)).map(({ line }) => line);
}

function lineOf(alert: Alert): string {
  const { finding, mayRepeat, otherWorkloads, moreWorkloads } = alert;
  if (finding.rule === 'probe-silent') return `• ${mayRepeat ? REPEAT_MARK : ''}${silenceItem(alert)}`;
  const others = otherWorkloads.length + moreWorkloads;
  const where = `${code(finding.workload, 64)}${others > 0 ? ` and ${others} more` : ''} on ${code(finding.node, 64)}`;
  const digest = finding.sha256 === '' ? 'no digest' : `SHA-256 ${code(finding.sha256, 80)}`;
  const mark = mayRepeat ? REPEAT_MARK : '';
  const what = `*${finding.severity}* ${finding.rule} ${code(finding.path, 90)}`;
  return `• ${mark}${what} in ${where}${containerNote(alert, 64)}, ${digest}`;
}

/** Lines joined into texts that each fit one section. */
function paragraphs(lines: readonly string[]): string[] {
  const texts: string[] = [];
  for (const text of lines) {
    const last = texts.at(-1);
    if (last !== undefined && last.length + 1 + text.length <= LIMITS.sectionChars) {
      texts[texts.length - 1] = `${last}\n${text}`;
    } else texts.push(text);
  }
  return texts;
}
