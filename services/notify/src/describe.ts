/** The parts of an alert in words. Everything that comes from a host goes through `code`. */
import type { Finding } from '@bintrail/schemas/finding.ts';
import type { Alert } from './alert.ts';
import { quote } from './commands.ts';
import { code } from './mrkdwn.ts';

const MAX_PARENTS = 8;
const MAX_WORKLOADS = 6;

/** `Critical: denied-digest`; words of ours only. */
export function title({ finding, episode }: Alert): string {
  const severity = finding.severity[0]!.toUpperCase() + finding.severity.slice(1);
  return `${severity}: ${finding.rule}${episode > 0 ? ' (seen again after it was resolved)' : ''}`;
}

export const REPEAT_NOTE =
  ':warning: *May be a repeat.* The answer to an earlier attempt was lost; the message may be in this channel already.';

export function digestText({ sha256, evidence }: Finding, maxChars: number): string {
  const { source, strength, reason } = evidence.digest;
  if (sha256 === '') return `none: ${code(reason, maxChars)}`;
  return `${code(sha256, 80)} (${code(strength, maxChars)}, read from ${code(source, maxChars)})`;
}

export function packageText({ evidence }: Finding, maxChars: number): string {
  if (evidence.package === '') return 'No package owns this path.';
  const name = code(`${evidence.package} ${evidence.package_version}`.trimEnd(), maxChars);
  if (evidence.package_match === 'match') return `${name}: content as the package recorded it`;
  if (evidence.package_match === 'mismatch') return `${name}: *content differs from the package's record*`;
  return `${name}: the package records no checksum`;
}

export function verdictText({ verdict, policyRevision }: Alert, maxChars: number): string {
  return `*${verdict.value}* at policy revision ${policyRevision}: ${code(verdict.why, maxChars)}`;
}

export function countText({ counts, finding }: Alert, maxChars: number): string {
  const where = code(finding.node, maxChars);
  if (counts === undefined) return `first on ${where}; not counted yet`;
  const times = counts.count === 1 ? 'once' : `${counts.count.toLocaleString('en-US')} times`;
  const nodes = counts.nodes === 1 ? '1 node' : `${counts.nodes.toLocaleString('en-US')} nodes`;
  return `${times} on ${nodes} when this was posted, first on ${where}`;
}

/** Nanoseconds since the epoch as RFC 3339 with milliseconds; anything else as it is. */
export function timeText(tsNs: string): string {
  // Date ends in the year 275760; twenty digits of nanoseconds are more than its range.
  if (!/^\d{1,19}$/.test(tsNs)) return code(tsNs, 60);
  return new Date(Number(BigInt(tsNs) / 1_000_000n)).toISOString();
}

/** Arguments as a shell would take them, so that their borders show. */
export function argvText(argv: readonly string[]): string {
  return argv.length === 0
    ? '(not known)'
    : argv.map((argument) => (argument === '' ? "''" : quote(argument))).join(' ');
}

/** One line a parent, nearest first. */
export function parentsText({ evidence }: Finding, maxChars: number): string {
  const { ancestors, parent_path: parentPath, ppid } = evidence.exec;
  if (ancestors.length === 0) return `${code(parentPath, maxChars)} pid ${ppid}`;
  const lines = ancestors
    .slice(0, MAX_PARENTS)
    .map(({ path, pid, argv }) => `${code(path, maxChars)} pid ${pid}: ${code(argvText(argv), maxChars)}`);
  const rest = ancestors.length - lines.length;
  return [...lines, ...(rest > 0 ? [`and ${rest} more above`] : [])].join('\n');
}

export function workloadsText({ otherWorkloads, moreWorkloads }: Alert, maxChars: number): string {
  const named = otherWorkloads.slice(0, MAX_WORKLOADS).map((workload) => code(workload, maxChars));
  const rest = otherWorkloads.length - named.length + moreWorkloads;
  return [...named, ...(rest > 0 ? [`and at least ${rest} more`] : [])].join(', ');
}
