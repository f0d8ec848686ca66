/** One raw event as it is shown, whatever its type. */

import {
  DIGEST_REASONS,
  DIGEST_SOURCES,
  DIGEST_STRENGTHS,
  PACKAGE_MATCHES,
  ROLES,
  SCRIPT_EVIDENCE,
} from '@bintrail/schemas/digest-words.ts';
import { FILE_ACTIONS } from '@bintrail/schemas/file-actions.ts';
import { FLAGS, type Flag, flagBit } from '@bintrail/schemas/flags.ts';
import { z } from '@hono/zod-openapi';
import { containerNames } from './container-answer.ts';
import { timeText } from './time.ts';

export const EVENT_TYPES = ['exec', 'exit', 'load', 'digest', 'file'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

const text = z.string().nullable();
const number = z.int().nullable();

export const eventAnswer = z
  .object({
    event_id: z.string().describe('Names this event for good.'),
    ts: timeText.describe('When it happened; of a digest when it was known.'),
    type: z.enum(EVENT_TYPES),
    node: z.string(),
    exec_id: text.describe('The program image it is about; null of a load that stands for those of several.'),
    parent_exec_id: text.describe('The image that started it; null where there is none or it is not an exec.'),
    pid: z.int().describe('0 where there is no exec_id.'),
    ppid: number,
    uid: number,
    gid: number,
    euid: number,
    path: text,
    filename: text.describe('As given to exec; of a script its name.'),
    comm: text,
    parent_path: text.describe('Of a load the program that loads it; null where the probe did not know it.'),
    argv: z.array(z.string()).nullable().describe('Redacted. Cut where flags say truncated_argv.'),
    argc: number.describe('The true count.'),
    cwd: text,
    role: z.enum(ROLES).nullable(),
    script_evidence: z
      .enum(SCRIPT_EVIDENCE)
      .nullable()
      .describe(
        'How a script is known: executed (the kernel ran its interpreter for it), read (a known interpreter read it, and its ' +
          'arguments name it), opened (it was found open there), stdin (it was the standard input of one), named (by the arguments alone).',
      ),
    count: number.describe(
      'How many it stands for: loads of one file by one program, user and workload, or changes of one kind that one program ' +
        'made to one file.',
    ),
    sha256: text.describe('Null without a digest. One that came late is shown here all the same.'),
    digest: z
      .object({
        source: z.enum(DIGEST_SOURCES).nullable(),
        strength: z.enum(DIGEST_STRENGTHS).nullable(),
        reason: z.enum(DIGEST_REASONS).nullable().describe('Why there is none.'),
      })
      .nullable(),
    package: text.describe('manager:name:architecture of the owner of the path.'),
    package_version: text,
    package_match: z.enum(PACKAGE_MATCHES).nullable(),
    package_algorithm: text.describe('Of the checksum the package records: md5, sha1 or sha256.'),
    workload: z.string(),
    container_id: text,
    image: text.describe('Digest.'),
    container: containerNames,
    exit_code: number,
    signal: number,
    written_by: z
      .object({ exec_id: z.string(), path: text.describe('Null for a program from before the probe.'), at: timeText })
      .nullable()
      .describe('The program that last wrote the file on that node. Null where it was not seen being written.'),
    action: z.enum(FILE_ACTIONS).nullable().describe('What was done to the file.'),
    target: text.describe('New name of a renamed or linked file, as the program gave it.'),
    flags: z.array(z.enum(FLAGS)),
  })
  .openapi('Event', {
    description:
      'Fields that a type does not have are null (flags: empty). exec has all but exit_code and signal; exit has those ' +
      'two; load (a script, library or loader that an exec ran) and digest (one that came late) have uid, path, ' +
      'parent_path, role, script_evidence (load alone), count, digest, package and flags; file (a change to code, by the program that exec_id names) has ' +
      'uid, path, action, target, count and flags. Empty texts are null too.',
  });

export type Event = z.infer<typeof eventAnswer>;

/** A parameter that takes one or several of these names, with commas between them. */
function namesParam<const Name extends string>(names: readonly Name[], example: string) {
  return z
    .string()
    .refine(
      (given) => given.split(',').every((name) => (names as readonly string[]).includes(name)),
      `one or several of ${names.join(', ')}, with commas in between`,
    )
    .transform((given) => given.split(',') as Name[])
    .openapi({ type: 'string', example });
}

export const typesParam = <const Name extends string>(names: readonly Name[]) =>
  namesParam(names, names.slice(0, 2).join(','));

/** All of the named bits together. */
export const flagsParam = namesParam(FLAGS, 'memfd,unlinked')
  .transform((names) => names.reduce((bits, name: Flag) => bits | flagBit(name), 0))
  .openapi({ type: 'string', example: 'memfd,unlinked', description: 'With commas in between; all must be set.' });
