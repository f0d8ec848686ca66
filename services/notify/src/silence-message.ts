/** The alert about probes that fell silent: no program, no digest, only who was last heard when. */
import type { Alert } from './alert.ts';
import { type Block, fields, header, section } from './block-kit.ts';
import { REPEAT_NOTE, timeText, title } from './describe.ts';
import { code } from './mrkdwn.ts';

/** One line for notifications and screen readers. */
export function silenceLine(alert: Alert): string {
  return `${alert.mayRepeat ? '[may be a repeat] ' : ''}${title(alert)}: ${nodesText(alert, 100)}`;
}

/** One line of a summary; words of ours and quoted ones only. */
export function silenceItem(alert: Alert): string {
  return `*${alert.finding.severity}* ${alert.finding.rule} ${nodesText(alert, 64)}`;
}

export function silenceBlocks(alert: Alert, next: Block, room: (chars: number) => number): Block[] {
  const { finding } = alert;
  return [
    header(title(alert)),
    ...(alert.mayRepeat ? [section(REPEAT_NOTE)] : []),
    section(`*Node*  ${nodesText(alert, room(300))}`),
    section(code(finding.evidence.verdict.why, room(700))),
    fields([`*Silent for five minutes at*\n${timeText(finding.ts_ns)}`]),
    next,
    section(`finding ${code(finding.finding_id, 80)}`),
  ];
}

// Every node of a group has its own finding; those that came before the message went out are counted in it.
function nodesText({ finding, otherWorkloads, moreWorkloads }: Alert, maxChars: number): string {
  const others = otherWorkloads.length + moreWorkloads;
  return `${code(finding.node, maxChars)}${others > 0 ? ` and ${others} more` : ''}`;
}
