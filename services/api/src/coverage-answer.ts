import { z } from '@hono/zod-openapi';
import type { Window } from './time.ts';

/** How much of what happened in the asked window this answer can rest on. */
export const coverageSchema = z
  .object({
    events_seen: z
      .int()
      .nonnegative()
      .describe('Execs and exits the kernel side offered to the probes, as last reported.'),
    events_stored: z.int().nonnegative().describe('Execs and exits in the store.'),
    events_lost: z.int().nonnegative().describe('Events counted as lost, all places together.'),
    ratio: z.number().min(0).max(1).nullable().describe('1 − lost ÷ seen; null where no probe reported.'),
    digest_ratio: z
      .number()
      .min(0)
      .max(1)
      .nullable()
      .describe('Share of what was executed that carries a digest; null where nothing was executed.'),
  })
  .openapi('Coverage', {
    example: { events_seen: 1204, events_stored: 1204, events_lost: 0, ratio: 1, digest_ratio: 0.998 },
  });

export type WindowCoverage = z.infer<typeof coverageSchema>;

const count = z.int().nonnegative();
const counts = z.record(z.string(), count);

export const nodeCoverageSchema = z
  .object({
    node: z.string(),
    seen: count.describe('Execs and exits the kernel side offered to the probes (place `ring`).'),
    stored: count.describe('Execs and exits in the store, without processes found at the start of a probe.'),
    lost: count.describe('Execs, exits and loads counted as lost, all places together.'),
    ratio: z.number().min(0).max(1).nullable().describe('1 − lost ÷ seen; null where nothing was seen.'),
    events: z
      .array(
        z.object({
          type: z.string(),
          seen: count.describe('At `ring`; 0 for types that user space makes.'),
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
    batch_gaps: z
      .object({ gaps: count, messages: count.describe('How many messages are missing in them.') })
      .describe('Messages a probe numbered that never arrived, noticed in the window.'),
  })
  .openapi('NodeCoverage');

export type NodeCoverage = z.infer<typeof nodeCoverageSchema>;

/** What a coverage is asked for. `node` and `workload` are exact names. */
export type CoverageQuestion = Window & { readonly node?: string | undefined; readonly workload?: string | undefined };
