import { z } from 'zod';

export const RULES = [
  'unapproved-binary',
  'denied-digest',
  'tampered-package-file',
  'fileless-exec',
  'library-writable-while-mapped',
  'hash-missing',
  'probe-silent',
  'dropped-executable',
  'modified-after-start',
] as const;
export type Rule = (typeof RULES)[number];

/** Rules that speak of no sighting: there is nothing to judge again, and no approval lifts them. */
export const UNJUDGED_RULES: readonly Rule[] = ['probe-silent', 'modified-after-start'];

export const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const;

const DIGEST = /^[0-9a-f]{64}$/;
/** What the store's times can hold. */
export const MAX_TIME_NS = 2n ** 63n - 1n;
const timeNs = z
  .string()
  .regex(/^\d{1,19}$/, { abort: true })
  .refine((digits) => BigInt(digits) <= MAX_TIME_NS);

const processSchema = z.object({ exec_id: z.string(), pid: z.int(), path: z.string(), argv: z.array(z.string()) });

/** The program that last wrote the file, as far as it is known. */
const writerSchema = z.object({
  exec_id: z.string(),
  path: z.string(),
  argv: z.array(z.string()),
  uid: z.int().nullable().describe('null where detect has not seen it start'),
  ts_ns: timeNs.describe('when it wrote, nanoseconds since the epoch, decimal'),
});

/** The container it ran in; texts are empty where its runtime had not told them by then. */
const containerSchema = z.object({
  id: z.string(),
  name: z.string().describe('in Kubernetes within its pod'),
  image_ref: z.string().describe('the image as whoever started it named it'),
  namespace: z.string(),
  pod: z.string(),
});
export type FindingContainer = z.infer<typeof containerSchema>;

/** What was seen first, copied from the event that led to the finding. Texts are printable, arguments redacted. */
export const evidenceSchema = z.object({
  verdict: z.object({ value: z.string(), why: z.string() }),
  digest: z.object({ source: z.string(), strength: z.string(), reason: z.string() }),
  package: z.string(),
  package_version: z.string(),
  package_match: z.string(),
  image: z.string(),
  container: containerSchema.optional().describe('absent outside containers'),
  flags: z.array(z.string()),
  written_by: writerSchema.optional().describe('absent where the writer of the file is not known'),
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
  finding_id: z.string().regex(DIGEST),
  group_id: z.string().regex(DIGEST),
  rule: z.enum(RULES),
  rule_version: z.int().min(0).max(0xffff_ffff),
  severity: z.enum(SEVERITIES),
  workload: z.string(),
  subject: z.string(),
  sha256: z.union([z.literal(''), z.string().regex(DIGEST)]).describe('lower-case hex, empty when absent'),
  path: z.string(),
  role: z.string(),
  node: z.string(),
  ts_ns: timeNs.describe('nanoseconds since the epoch, decimal'),
  policy_revision: z.int().min(0).describe('approvals known when it was judged'),
  evidence: evidenceSchema,
});

export type Finding = z.infer<typeof findingSchema>;
export type Evidence = z.infer<typeof evidenceSchema>;
