/** The parts of an alert in words. Everything that comes from a host goes through `code`. */
import type { Evidence, Finding } from '@bintrail/schemas/finding.ts';
import type { Alert } from './alert.ts';
import { quote } from './commands.ts';
import { code } from './mrkdwn.ts';

const MAX_PARENTS = 3;
const MAX_ABOVE = 5;
const MIN_PATH_CHARS = 60;
const MAX_WORKLOADS = 6;
/** As container runtimes show ids. */
const SHORT_ID_CHARS = 12;

/** `Critical: denied-digest`; words of ours only. */
export function title({ finding, episode }: Alert): string {
  const severity = finding.severity[0]!.toUpperCase() + finding.severity.slice(1);
  const privileged = finding.evidence.flags.filter((flag) => flag === 'setuid' || flag === 'setgid');
  const again = episode > 0 ? ' (seen again after it was resolved)' : '';
  return `${[`${severity}: ${finding.rule}`, ...privileged].join(', ')}${again}`;
}

export const REPEAT_NOTE =
  ':warning: *May be a repeat.* The answer to an earlier attempt was lost; the message may be in this channel already.';

const STRENGTH_WORDS: Readonly<Record<string, string>> = {
  exact: 'exactly the bytes that ran',
  alive: 'exactly the bytes that ran',
  metadata: 'not sure: the file was renamed, unlinked or had its mode changed before it was read',
  racy: 'not sure: the file may have been written, unseen, around the moment it ran',
  writable: 'not sure: somebody had the file open for writing',
};

const REASON_WORDS: Readonly<Record<string, string>> = {
  too_large: 'the file is larger than the probe reads',
  vanished: 'the file was gone before it could be read',
  changed: 'the file changed while it was read',
  unreadable: 'the file could not be read',
  remote_fs: 'the file lies on a network filesystem',
  unmarked_fs: 'the file lies on a filesystem the probe does not watch',
  timeout: 'reading took too long',
  overload: 'more ran than the probe could read',
  snapshot: 'it ran before the probe started',
  rate_limited: 'the probe may read no more than its rate (BINTRAIL_HASH_RATE)',
};

export function digestText({ sha256, evidence }: Finding, maxChars: number): string {
  const { strength, reason } = evidence.digest;
  if (sha256 === '') return `none: ${wordsFor(REASON_WORDS, reason, maxChars)}`;
  return `${code(sha256, 80)} ${wordsFor(STRENGTH_WORDS, strength, maxChars)}`;
}

/** A word that is not ours is quoted: findings of a newer version may hold others. */
function wordsFor(words: Readonly<Record<string, string>>, word: string, maxChars: number): string {
  return Object.hasOwn(words, word) ? words[word]! : code(word, maxChars);
}

export function packageText({ evidence }: Finding, maxChars: number): string {
  if (evidence.package_match === 'unread') return 'not known: the database of its root could not be asked';
  if (evidence.package === '') return 'none owns this path';
  const name = code(`${evidence.package} ${evidence.package_version}`.trimEnd(), maxChars);
  if (evidence.package_match === 'match') return `${name}: content as the package recorded it`;
  if (evidence.package_match === 'mismatch') return `${name}: *content differs from the package's record*`;
  if (evidence.package_match === 'claimed') return `${name}, by a database that its container could have written`;
  return `${name}: the package records no checksum`;
}

export function verdictText({ verdict }: Alert, maxChars: number): string {
  return `*${verdict.value}*: ${code(verdict.why, maxChars)}`;
}

export function whereText(alert: Alert, maxChars: number): string {
  const { workload, node, evidence } = alert.finding;
  const container = containerOf(alert);
  const lines = [...containerLines(container, maxChars), ...imageLines(evidence.image, container, maxChars)];
  return [`${code(workload, 2 * maxChars)} on ${code(node, maxChars)}`, ...lines].join('\n');
}

/** ` (container … of pod …, image …)` for where a line is all the room there is; empty outside containers. */
export function containerNote(alert: Alert, maxChars: number): string {
  const container = containerOf(alert);
  if (container === undefined) return '';
  // One name of the image is enough: the digest where nobody told the other.
  const image = container.image_ref === '' ? alert.finding.evidence.image : '';
  return ` (${[...containerLines(container, maxChars), ...imageLines(image, container, maxChars)].join(', ')})`;
}

/** By what is known now, where the store was asked. */
function containerOf({ finding, counts }: Alert): Evidence['container'] {
  return counts?.container ?? finding.evidence.container;
}

function containerLines(container: Evidence['container'], maxChars: number): string[] {
  if (container === undefined) return [];
  const { id, name, namespace, pod } = container;
  const inPod = pod === '' ? '' : ` of pod ${code(`${namespace}/${pod}`, maxChars)}`;
  return [`container ${code(name === '' ? id.slice(0, SHORT_ID_CHARS) : name, maxChars)}${inPod}`];
}

function imageLines(image: string, container: Evidence['container'], maxChars: number): string[] {
  const names = [container?.image_ref ?? '', image].filter((name) => name !== '');
  return names.length === 0 ? [] : [`image ${names.map((name) => code(name, maxChars)).join(' ')}`];
}

export function runnerText({ evidence: { exec } }: Finding, maxChars: number): string {
  return `${userText(exec.uid)}, pid ${exec.pid}${exec.cwd === '' ? '' : ` in ${code(exec.cwd, maxChars)}`}`;
}

/** Undefined where the writer of the file is not known, or is who the alert speaks of anyway. */
export function writerText({ rule, evidence: { written_by: writer } }: Finding, maxChars: number): string | undefined {
  if (writer === undefined || rule === 'modified-after-start') return undefined;
  const program = writer.path === '' ? 'a program from before the probe' : code(writer.path, maxChars);
  const command = writer.argv.length > 1 ? `: ${code(argvText(writer.argv), maxChars)}` : '';
  const user = writer.uid === null ? '' : `, ${userText(writer.uid)}`;
  return `${program}${command}${user}, ${timeText(writer.ts_ns)}`;
}

function userText(uid: number): string {
  return uid === 0 ? 'root (uid 0)' : `uid ${uid}`;
}

export function countText({ counts, finding }: Alert): string {
  if (counts === undefined) return `first ${timeText(finding.ts_ns)}; not counted yet`;
  const first = timeText(String(counts.firstNs));
  const times = counts.count === 1 ? 'once' : `${counts.count.toLocaleString('en-US')} times`;
  const nodes = counts.nodes === 1 ? '1 node' : `${counts.nodes.toLocaleString('en-US')} nodes`;
  return counts.count === 1 ? `once, ${first}` : `${times} on ${nodes}, first ${first}`;
}

const ROLE_WORDS: Readonly<Record<string, string>> = {
  library: 'a library of the process',
  loader: 'the loader of the process',
  script: 'a script',
};

/** What is odd about how it ran; the others say how the record was made. */
const FLAG_WORDS: Readonly<Record<string, string>> = {
  memfd: 'never was a file (memfd)',
  unlinked: 'deleted by then',
  upper_layer: 'written into the container, not part of its image',
  setuid: "runs with its owner's rights (setuid)",
  setgid: "runs with its group's rights (setgid)",
  snapshot: 'ran before the probe started',
  dropped: 'written by a program of this workload',
  in_use: 'in use at that moment',
};

/** Undefined where it is the ordinary thing: a program's file, run as it lies there. */
export function oddText({ role, evidence }: Finding, maxChars: number): string | undefined {
  const kind = role === 'exec' || role === '' ? [] : [wordsFor(ROLE_WORDS, role, maxChars)];
  const odd = [
    ...kind,
    ...evidence.flags.flatMap((flag) => (Object.hasOwn(FLAG_WORDS, flag) ? FLAG_WORDS[flag]! : [])),
  ];
  return odd.length === 0 ? undefined : odd.join('; ');
}

/** Whoever reads arguments as evidence must know when they are not all there. */
export function argvNote({ evidence: { flags } }: Finding): string {
  const notes = [
    ...(flags.includes('redacted_argv') ? ['secrets taken out'] : []),
    ...(flags.includes('truncated_argv') ? ['cut'] : []),
  ];
  return notes.length === 0 ? '' : `  (${notes.join(', ')})`;
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

/** The nearest parents with their arguments, one line each; those above by their paths alone. */
export function parentsText({ evidence }: Finding, maxChars: number): string {
  const { ancestors, parent_path: parentPath, ppid } = evidence.exec;
  if (ancestors.length === 0) return parentOf(parentPath, ppid, maxChars);
  const lines = ancestors.slice(0, MAX_PARENTS).map(({ path, pid, argv }) => {
    const more = argv.length > 1 ? `: ${code(argvText(argv), maxChars)}` : '';
    return `${code(path, maxChars)} pid ${pid}${more}`;
  });
  const above = ancestors.slice(MAX_PARENTS, MAX_PARENTS + MAX_ABOVE).map(({ path }) => code(path, MIN_PATH_CHARS));
  const rest = ancestors.length - MAX_PARENTS - above.length;
  if (rest > 0) above.push(`${rest} more`);
  return [...lines, ...(above.length > 0 ? [`below ${above.join(' ← ')}`] : [])].join('\n');
}

// A script has no process record of its own: the pid above it may not be known.
function parentOf(path: string, pid: number, maxChars: number): string {
  const parts = [...(path === '' ? [] : [code(path, maxChars)]), ...(pid === 0 ? [] : [`pid ${pid}`])];
  return parts.length === 0 ? '(not known)' : parts.join(' ');
}

export function workloadsText({ otherWorkloads, moreWorkloads }: Alert, maxChars: number): string {
  const named = otherWorkloads.slice(0, MAX_WORKLOADS).map((workload) => code(workload, maxChars));
  const rest = otherWorkloads.length - named.length + moreWorkloads;
  return [...named, ...(rest > 0 ? [`and at least ${rest} more`] : [])].join(', ');
}
