import { z } from 'zod';

const SHA256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 is 64 lower-case hex digits');

/** What an approval applies to. Exactly one kind of matcher; a path alone is weak evidence, so it needs a workload. */
export const matchSchema = z.union([
  z.strictObject({ sha256: z.array(SHA256).min(1).max(1000) }),
  z.strictObject({
    package: z.strictObject({
      name: z.string().min(1).max(256).describe('manager:name:architecture, as events show it'),
      version: z.string().min(1).max(256).optional(),
    }),
  }),
  z.strictObject({ path: z.string().min(1).max(4096).describe('exact path, or a prefix that ends in *') }),
]);

export const scopeSchema = z.strictObject({
  workload: z.string().min(1).max(512).describe('a workload id, a prefix that ends in *, or * for all'),
});

/** What an analyst sends. */
export const approvalInputSchema = z
  .strictObject({
    match: matchSchema,
    effect: z.enum(['allow', 'deny']),
    scope: scopeSchema,
    reason: z.string().max(2000).trim().min(1),
    expires_at: z.iso.datetime({ offset: true }).nullable().default(null),
  })
  .refine((input) => !('path' in input.match) || input.scope.workload !== '*', {
    path: ['scope', 'workload'],
    message: 'an approval by path needs a workload: any file can stand at a path',
  });

/** An approval as it is kept and judged by. `revision` grows with every change to any approval. */
export const approvalSchema = z.object({
  id: z.string(),
  revision: z.int().nonnegative(),
  match: matchSchema,
  effect: z.enum(['allow', 'deny']),
  scope: scopeSchema,
  reason: z.string(),
  author: z.string(),
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime({ offset: true }).nullable(),
});

export type ApprovalInput = z.infer<typeof approvalInputSchema>;
export type Approval = z.infer<typeof approvalSchema>;
