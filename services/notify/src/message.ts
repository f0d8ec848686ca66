import type { Alert } from './alert.ts';
import { type Block, fields, header, LIMITS, type SlackMessage, section, sizeOf } from './block-kit.ts';
import { type ApiAccess, nextStep, showFinding } from './commands.ts';
import {
  argvNote,
  argvText,
  containerNote,
  countText,
  digestText,
  oddText,
  packageText,
  parentsText,
  REPEAT_NOTE,
  runnerText,
  title,
  verdictText,
  whereText,
  workloadsText,
  writerText,
} from './describe.ts';
import { code, codeBlock, commandBlock } from './mrkdwn.ts';
import { silenceBlocks, silenceLine } from './silence-message.ts';

/** Longest texts, in characters, while a message has room; tried in turn until it fits. */
const SCALES = [1, 0.5, 0.25, 0.1] as const;
const MIN_TEXT_CHARS = 60;
const MAX_COMMAND_CHARS = 2800;

/** The message for one finding group. It always fits Slack's limits; texts are cut where they must be, visibly. */
export function findingMessage(alert: Alert, access: ApiAccess): SlackMessage {
  const next = section(nextStepText(alert, access));
  let blocks: Block[] = [];
  for (const scale of SCALES) {
    blocks = findingBlocks(alert, next, (chars) => Math.max(MIN_TEXT_CHARS, Math.floor(chars * scale)));
    if (sizeOf(blocks) <= LIMITS.messageChars) break;
  }
  return { text: oneLine(alert), blocks };
}

/**
 * The same without blocks, for when Slack refused those: its rules may have changed, and an alert that looks poor is
 * better than none.
 */
export function plainMessage(alert: Alert, access: ApiAccess): SlackMessage {
  const look = commandBlock(showFinding(alert.finding.finding_id, access), MAX_COMMAND_CHARS);
  return { text: [oneLine(alert), verdictText(alert, 300), ...(look === undefined ? [] : [look])].join('\n') };
}

/** One line for notifications and screen readers. */
export function oneLine(alert: Alert): string {
  const { finding } = alert;
  if (finding.rule === 'probe-silent') return silenceLine(alert);
  const where = `${code(finding.workload, 200)} on ${code(finding.node, 100)}${containerNote(alert, 100)}`;
  const repeat = alert.mayRepeat ? '[may be a repeat] ' : '';
  return `${repeat}${title(alert)}: ${code(finding.path, 300)} in ${where}, SHA-256 ${finding.sha256 === '' ? 'none' : code(finding.sha256, 80)}`;
}

function findingBlocks(alert: Alert, next: Block, room: (chars: number) => number): Block[] {
  const { finding } = alert;
  if (finding.rule === 'probe-silent') return silenceBlocks(alert, next, room);
  const { exec } = finding.evidence;
  const others = workloadsText(alert, room(100));
  const odd = oddText(finding, MIN_TEXT_CHARS);
  const writer = writerText(finding, room(200));
  const what = [
    `*What*  ${code(finding.path, room(700))}`,
    ...(odd === undefined ? [] : [`*Note*  ${odd}`]),
    `*SHA-256*  ${digestText(finding, MIN_TEXT_CHARS)}`,
    `*Verdict*  ${verdictText(alert, room(500))}`,
  ];
  return [
    header(title(alert)),
    ...(alert.mayRepeat ? [section(REPEAT_NOTE)] : []),
    section(what.join('\n')),
    fields([
      `*Where*\n${whereText(alert, room(150))}`,
      `*Seen*\n${countText(alert)}`,
      `*${finding.rule === 'modified-after-start' ? 'Changed by' : 'Run by'}*\n${runnerText(finding, room(150))}`,
      `*Package*\n${packageText(finding, room(200))}`,
    ]),
    ...(writer === undefined ? [] : [section(`*Written by*  ${writer}`)]),
    section(`*Command*${argvNote(finding)}\n${codeBlock(argvText(exec.argv), room(1000))}`),
    section(`*Started by*\n${parentsText(finding, room(120))}`),
    ...(others === '' ? [] : [section(`*Also in*  ${others}`)]),
    next,
    section(`finding ${code(finding.finding_id, 80)}`),
  ];
}

function nextStepText({ finding }: Alert, access: ApiAccess): string {
  const { kind, command, hint } = nextStep(finding, access);
  const block = commandBlock(command, MAX_COMMAND_CHARS);
  if (block !== undefined) {
    return `*${kind === 'approve' ? 'Approve this digest in this workload' : 'Look closer'}*  ${hint}\n${block}`;
  }
  const look = commandBlock(showFinding(finding.finding_id, access), MAX_COMMAND_CHARS) ?? '';
  return `*Look closer*  The command to approve it would be too long for Slack.\n${look}`;
}
