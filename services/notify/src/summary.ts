import { SEVERITIES } from '@bintrail/schemas/finding.ts';
import type { Alert } from './alert.ts';
import { type Block, header, LIMITS, type SlackMessage, section, sizeOf } from './block-kit.ts';
import { type ApiAccess, listFindings } from './commands.ts';
import { REPEAT_NOTE } from './describe.ts';
import { code, commandBlock } from './mrkdwn.ts';

/** How many groups one summary lists at most: as many as one screen shows, and well below Slack's limits. */
export const MAX_LISTED = 30;

const MAX_COMMAND_CHARS = 2800;
const REPEAT_MARK = ':warning: may be a repeat: ';

/** The groups a summary lists are the first `listed` of those handed in; the rest has to wait for the next one. */
export type Summary = { readonly message: SlackMessage; readonly listed: number };

/** One message for many groups that have waited, worst first, one line each. At least one is always listed. */
export function summaryMessage(alerts: readonly Alert[], access: ApiAccess): Summary {
  for (let listed = Math.min(alerts.length, MAX_LISTED); ; listed--) {
    const message = { text: overview(alerts, listed), blocks: summaryBlocks(alerts, listed, access) };
    if (listed <= 1 || sizeOf(message.blocks) <= LIMITS.messageChars) return { message, listed };
  }
}

/** The same without blocks; see `plainMessage`. */
export function plainSummary(alerts: readonly Alert[]): Summary {
  for (let listed = Math.min(alerts.length, MAX_LISTED); ; listed--) {
    const shown = worstFirst(alerts.slice(0, listed));
    const text = [overview(alerts, listed), ...shown.map(line)].join('\n');
    if (listed <= 1 || text.length <= LIMITS.textChars) return { message: { text }, listed };
  }
}

function summaryBlocks(alerts: readonly Alert[], listed: number, access: ApiAccess): Block[] {
  const shown = worstFirst(alerts.slice(0, listed));
  const repeats = shown.some(({ mayRepeat }) => mayRepeat);
  const command = commandBlock(listFindings(access), MAX_COMMAND_CHARS);
  return [
    header(overview(alerts, listed)),
    ...(repeats ? [section(`${REPEAT_NOTE} This holds for the lines marked so.`)] : []),
    ...paragraphs(shown.map(line)).map(section),
    ...(command !== undefined ? [section(`*All of them, with evidence*\n${command}`)] : []),
  ];
}

/** Words of ours only: it becomes a header. */
function overview(alerts: readonly Alert[], listed: number): string {
  const shown = alerts.slice(0, listed);
  const bySeverity = SEVERITIES.map((severity) => ({
    severity,
    n: shown.filter(({ finding }) => finding.severity === severity).length,
  })).filter(({ n }) => n > 0);
  const counts = bySeverity.map(({ severity, n }) => `${n} ${severity}`).join(', ');
  const rest = alerts.length - listed;
  return `${listed} findings: ${counts}${rest > 0 ? `; ${rest} more follow` : ''}`;
}

function worstFirst(alerts: readonly Alert[]): Alert[] {
  return alerts.toSorted((a, b) => SEVERITIES.indexOf(a.finding.severity) - SEVERITIES.indexOf(b.finding.severity));
}

function line({ finding, mayRepeat, otherWorkloads, moreWorkloads }: Alert): string {
  const others = otherWorkloads.length + moreWorkloads;
  const where = `${code(finding.workload, 64)}${others > 0 ? ` and ${others} more` : ''} on ${code(finding.node, 64)}`;
  const digest = finding.sha256 === '' ? 'no digest' : `SHA-256 ${code(finding.sha256.slice(0, 16), 62)}…`;
  const mark = mayRepeat ? REPEAT_MARK : '';
  return `• ${mark}*${finding.severity}* ${finding.rule} ${code(finding.path, 90)} in ${where}, ${digest}`;
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
