import { z } from 'zod';
import { approvalSchema } from './approval.ts';

/**
 * Records of the compacted topic `bintrail.policy` (JSON), copied there by the api from its own tables. The key is
 * `approval:<id>` or `finding:<finding_id>`. A reader keeps the highest revision per key.
 */
export const policyRecordSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('approval'), revision: z.int(), deleted: z.boolean(), approval: approvalSchema }),
  z.object({
    kind: z.literal('action'),
    revision: z.int(),
    finding_id: z.string(),
    action: z.enum(['acknowledge', 'resolve']),
    /** How often this finding has been resolved so far: the number of its current episode. */
    episode: z.int().nonnegative(),
    at: z.iso.datetime(),
  }),
]);

export type PolicyRecord = z.infer<typeof policyRecordSchema>;
