import { z } from '@hono/zod-openapi';
import type { Window } from './time.ts';

/** How much of what happened in the asked window this answer can rest on. */
export const coverageSchema = z
  .object({
    events_seen: z.int().nonnegative().describe('Events the kernel side offered to the probes.'),
    events_stored: z.int().nonnegative().describe('Events in the store.'),
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

/** What a coverage is asked for. `node` and `workload` are exact names. */
export type CoverageQuestion = Window & { readonly node?: string | undefined; readonly workload?: string | undefined };
