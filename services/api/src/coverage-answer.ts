import { z } from '@hono/zod-openapi';
import { timeText, type Window } from './time.ts';

const count = z.int().nonnegative();

export const gapSumsSchema = z
  .object({
    count: count.describe('Times without a probe that reach into the window.'),
    unknown: count.describe('Of them, those without a number: where there are any, `ratio` is an upper bound.'),
    missed: count.describe(
      'Execs missing in the others, each in full, as the census counted them; `lost` has them too.',
    ),
  })
  .openapi('ProbeGapSums');

export type GapSums = z.infer<typeof gapSumsSchema>;

const probeGapSchema = z
  .object({
    since: timeText.describe('Last sign of life of the probe before it.'),
    until: timeText.nullable().describe('First sign of the next; null while there is none.'),
    missed: count
      .nullable()
      .describe(
        'Execs between the two runs that are not stored, as the census counted them; what the earlier one still held ' +
          'when it was killed is in it, what it reported as lost is not. Falls while rows are on their way. Null where ' +
          'it is unknown.',
      ),
    reason: z
      .string()
      .nullable()
      .describe(
        'Why it is unknown: no_bpffs or refused (no census), census_removed (another one counts since), reboot, ' +
          'two_probes (they ran at once before it), not_reported (not arrived), silent (still without a probe), disagree.',
      ),
  })
  .openapi('ProbeGap');

export type ProbeGap = z.infer<typeof probeGapSchema>;

/** How much of what happened in the asked window this answer can rest on. */
export const coverageSchema = z
  .object({
    events_seen: z
      .int()
      .nonnegative()
      .describe(
        'Execs and exits the kernel side offered to the probes, as last reported, and what the census counted between.',
      ),
    events_stored: z.int().nonnegative().describe('Execs and exits in the store.'),
    events_lost: z.int().nonnegative().describe('Events counted as lost, all places and gaps together.'),
    ratio: z.number().min(0).max(1).nullable().describe('1 − lost ÷ seen; null where no probe reported.'),
    gaps: gapSumsSchema,
    digest_ratio: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .describe('Share of what was executed that carries a digest; null where nothing was executed.'),
  })
  .openapi('Coverage', {
    example: {
      events_seen: 1204,
      events_stored: 1204,
      events_lost: 0,
      ratio: 1,
      digest_ratio: 0.998,
      gaps: { count: 0, unknown: 0, missed: 0 },
    },
  });

export type WindowCoverage = z.infer<typeof coverageSchema>;

const counts = z.record(z.string(), count);

export const nodeCoverageSchema = z
  .object({
    node: z.string(),
    seen: count.describe(
      'Execs and exits the kernel side offered to the probes (place `ring`), and execs that only the census counted (`gap`).',
    ),
    stored: count.describe('Execs and exits in the store, without processes found at the start of a probe.'),
    lost: count.describe('Execs, exits and loads counted as lost, all places together.'),
    ratio: z.number().min(0).max(1).nullable().describe('1 − lost ÷ seen; null where nothing was seen.'),
    events: z
      .array(
        z.object({
          type: z.string(),
          seen: count.describe('At `ring` and `gap`; 0 for types that user space makes.'),
          stored: count,
          lost: count,
          places: z.array(z.object({ place: z.string(), seen: count, lost: count })),
        }),
      )
      .describe('The same by type. `digest` counts descriptors to hash by (`fanotify`) and digests that came late.'),
    digests: z.object({
      ratio: z.number().min(0).max(1).nullable().describe('Share with a digest; null where nothing was executed.'),
      strengths: counts.describe('Executed files with a digest, by its strength.'),
      missing: counts.describe('Those without, by reason.'),
    }),
    gaps: gapSumsSchema.extend({ newest: z.array(probeGapSchema).describe('The newest first, 100 at most.') }),
    batch_gaps: z
      .object({ gaps: count, messages: count.describe('How many messages are missing in them.') })
      .describe('Messages a probe numbered that never arrived, noticed in the window.'),
  })
  .openapi('NodeCoverage');

export type NodeCoverage = z.infer<typeof nodeCoverageSchema>;

/** What a coverage is asked for. `node` and `workload` are exact names. */
export type CoverageQuestion = Window & { readonly node?: string | undefined; readonly workload?: string | undefined };
