import { z } from 'zod';

export const RULES = [
  'unapproved-binary',
  'denied-digest',
  'tampered-package-file',
  'fileless-exec',
  'hash-missing',
] as const;
export type Rule = (typeof RULES)[number];

export const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const;

const processSchema = z.object({ exec_id: z.string(), pid: z.int(), path: z.string(), argv: z.array(z.string()) });

/** What was seen first, copied from the event that led to the finding. Texts are printable, arguments redacted. */
export const evidenceSchema = z.object({
  verdict: z.object({ value: z.string(), why: z.string() }),
  digest: z.object({ source: z.string(), strength: z.string(), reason: z.string() }),
  package: z.string(),
  package_version: z.string(),
  package_match: z.string(),
  image: z.string(),
  flags: z.array(z.string()),
  exec: z.object({
    exec_id: z.string(),
    parent_exec_id: z.string(),
    pid: z.int(),
    ppid: z.int(),
    uid: z.int(),
    argv: z.array(z.string()),
    cwd: z.string(),
    parent_path: z.string(),
    ancestors: z.array(processSchema).describe('nearest first, as far as detect had seen them'),
  }),
});

/**
 * One finding as detect publishes it on `bintrail.findings` (JSON, key = group_id). Its id is the SHA-256 of
 * (rule, rule version, workload, subject): no node, time, image or count; its group leaves the workload out too.
 */
export const findingSchema = z.object({
  finding_id: z.string(),
  group_id: z.string(),
  rule: z.enum(RULES),
  rule_version: z.int(),
  severity: z.enum(SEVERITIES),
  workload: z.string(),
  subject: z.string(),
  sha256: z.string().describe('lower-case hex, empty when absent'),
  path: z.string(),
  role: z.string(),
  node: z.string(),
  ts_ns: z.string().describe('nanoseconds since the epoch, decimal'),
  policy_revision: z.int().describe('approvals known when it was judged'),
  evidence: evidenceSchema,
});

export type Finding = z.infer<typeof findingSchema>;
export type Evidence = z.infer<typeof evidenceSchema>;
