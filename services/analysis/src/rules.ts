/** What is worth a finding, as data: the first rule that fires for a sighting is its one finding. */
import { createHash } from 'node:crypto';
import { type Finding, SEVERITIES } from '@bintrail/schemas/finding.ts';
import { type Flag, flagBit } from '@bintrail/schemas/flags.ts';
import type { Sighting, Verdict } from '@bintrail/schemas/sighting.ts';
import { CONTAINER_WORKLOADS } from './judge.ts';

/** A finding without the event it was first seen in. */
export type FindingCore = Pick<
  Finding,
  'finding_id' | 'group_id' | 'rule' | 'rule_version' | 'severity' | 'workload' | 'subject' | 'sha256' | 'path' | 'role'
>;

type FindingRule = {
  readonly rule: Finding['rule'];
  /** Part of the finding's id: a new version of a rule makes new findings. */
  readonly version: number;
  readonly severity: Finding['severity'];
  readonly subject: 'content' | 'path';
  /** What its findings are told together by; the subject where it is left out. */
  readonly groupBy?: (sighting: Sighting, writerPath: string) => string;
  readonly fires: (sighting: Sighting, verdict: Verdict, flags: number) => boolean;
};

/** The flags of the event that findings depend on, beside the sighting and its verdict. */
export const RULE_FLAGS: readonly Flag[] = ['memfd', 'setuid', 'setgid', 'dropped'];
const DROPPED = flagBit('dropped');
const MEMFD = flagBit('memfd');
/** Whoever starts such a file runs it with its owner's rights. */
const PRIVILEGED = flagBit('setuid') | flagBit('setgid');

/**
 * From the most to the least specific. One sighting makes one finding, so that nobody is paged twice for one fact: a
 * tampered or fileless file is unapproved too, and says so in its evidence; a denied one is always reported as denied.
 * What an analyst approved makes no finding at all.
 */
export const FINDING_RULES: readonly FindingRule[] = [
  {
    rule: 'denied-digest',
    version: 1,
    severity: 'critical',
    subject: 'content',
    fires: (_, verdict) => verdict.value === 'denied',
  },
  {
    // A program without a file. One that was merely unlinked had a file, whose digest decides; upgrades and
    // self-extracting installers do that all day. A package cannot excuse it: it says nothing of how a file was run.
    rule: 'fileless-exec',
    version: 1,
    severity: 'high',
    subject: 'content',
    fires: (_, verdict, flags) => (flags & MEMFD) !== 0 && verdict.value !== 'approved',
  },
  {
    // The subject is the path: the question is what became of that file, however often it changes.
    rule: 'tampered-package-file',
    version: 1,
    severity: 'high',
    subject: 'path',
    fires: (sighting, verdict) => sighting.package_match === 'mismatch' && verdict.value !== 'approved',
  },
  {
    // A deployed workload ran what one of its own programs had written: after it started, so it is no part of what was
    // deployed. What a package manager wrote does not count (the probe leaves `dropped` out), nor what a package explains
    // or an analyst approved. Sessions and the host itself, where people build and install, make none: there such a file
    // is an unapproved binary whose evidence names the writer. A build service is one alert for each program that
    // writes its outputs, not one for each build.
    rule: 'dropped-executable',
    version: 1,
    severity: 'high',
    subject: 'content',
    groupBy: ({ workload }, writerPath) => `written by ${writerPath} in ${workload}`,
    fires: ({ workload, digest_reason }, verdict, flags) =>
      (flags & DROPPED) !== 0 &&
      isDeployed(workload) &&
      (verdict.value === 'unapproved' || (verdict.value === 'unknown' && digest_reason !== 'pending')),
  },
  {
    // The subject is the path: what the bytes are is just what cannot be said. A program is not meant: the kernel lets
    // nobody write to one that runs.
    rule: 'library-writable-while-mapped',
    version: 1,
    severity: 'medium',
    subject: 'path',
    fires: ({ role, digest_strength }, verdict) =>
      (role === 'library' || role === 'loader') && digest_strength === 'writable' && verdict.value !== 'approved',
  },
  {
    // Told by its reason: a storm of short-lived files is one fact, not one alert a file.
    rule: 'hash-missing',
    version: 1,
    severity: 'low',
    subject: 'path',
    groupBy: ({ digest_reason }) => `reason:${digest_reason}`,
    fires: (sighting, verdict) => verdict.value === 'unknown' && sighting.digest_reason !== 'pending',
  },
  {
    // Of every role: a script, a library and a loader are code as much as the program is.
    rule: 'unapproved-binary',
    version: 1,
    severity: 'medium',
    subject: 'content',
    fires: (_, verdict) => verdict.value === 'unapproved',
  },
];

/** Workloads that somebody put there as a whole, beside those in which people work. */
export function isDeployed(workload: string): boolean {
  return [...CONTAINER_WORKLOADS, 'systemd/'].some((prefix) => workload.startsWith(prefix));
}

/**
 * The finding that a sighting makes, if any; `flags` are the bits of the event, `writerPath` who wrote the file. What a
 * runtime starts to set a container up is the host's program, found there if at all; only a deny rule speaks of it
 * wherever it runs.
 */
export function findings(sighting: Sighting, verdict: Verdict, flags: number, writerPath = ''): FindingCore[] {
  const rule = FINDING_RULES.find(({ fires }) => fires(sighting, verdict, flags));
  if (rule === undefined || (sighting.role === 'setup' && rule.rule !== 'denied-digest')) return [];
  const subject = subjectOf(rule, sighting);
  return [
    {
      finding_id: findingId(rule.rule, rule.version, sighting.workload, subject),
      group_id: groupId(rule.rule, rule.version, rule.groupBy?.(sighting, writerPath) ?? subject),
      rule: rule.rule,
      rule_version: rule.version,
      severity: flags & PRIVILEGED ? raised(rule.severity) : rule.severity,
      workload: sighting.workload,
      subject,
      sha256: sighting.sha256,
      path: sighting.path,
      role: sighting.role,
    },
  ];
}

/** One step worse. */
export function raised(severity: Finding['severity']): Finding['severity'] {
  return SEVERITIES[Math.max(0, SEVERITIES.indexOf(severity) - 1)]!;
}

/** `sha256:<hex>` or `path:<path>`; without a digest the path is all there is to tell files apart. */
function subjectOf(rule: FindingRule, sighting: Sighting): string {
  const byContent = rule.subject === 'content' && sighting.sha256 !== '';
  return byContent ? `sha256:${sighting.sha256}` : `path:${sighting.path}`;
}

/** Lower-case hex SHA-256 that names a finding everywhere and for good. */
export function findingId(rule: string, version: number, workload: string, subject: string): string {
  return hashOf([rule, version, workload, subject]);
}

/** Findings of one group are one alert: the same fact in any workload. */
export function groupId(rule: string, version: number, subject: string): string {
  return hashOf([rule, version, subject]);
}

// JSON quotes and escapes each part, so no two different lists have the same bytes.
function hashOf(parts: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
