import { findingSchema } from '@bintrail/schemas/finding.ts';
import { z } from 'zod';

/** Findings kept with an alert until it is sent; further ones of the group are only counted. */
export const MAX_FINDINGS = 8;

/** What every record of the topic of deliveries has: the newest one of a group is all there is to know of its alert. */
const group = z.object({
  v: z.literal(1),
  group_id: z.string(),
  /** See `episode.ts`: with the group id it names one alert, which is posted once. */
  episode: z.int().nonnegative(),
  /** Findings of the group, each with its own episode when it was last seen. */
  members: z.record(z.string(), z.int().nonnegative()),
  /** Episodes of members that are no longer remembered. */
  base: z.int().nonnegative(),
  at: z.iso.datetime(),
});

const pending = group.extend({
  queued_at: z.iso.datetime(),
  findings: z.array(findingSchema).min(1).max(MAX_FINDINGS),
  /** Findings of this episode beyond those kept, at least. */
  more: z.int().nonnegative(),
  attempts: z.int().nonnegative(),
  /** An attempt left us and its answer was lost: the next message says that it may be a repeat. */
  may_repeat: z.boolean(),
  /** Slack refused the message as it was: the next one goes without blocks. */
  plain: z.boolean(),
});

const queued = pending.extend({ state: z.literal('queued') });

/** Written before each post. Found without an outcome after a crash, it is posted once more and marked. */
const planned = pending.extend({
  state: z.literal('planned'),
  /** Names one post; groups that were listed in one message share it. */
  delivery_id: z.string(),
});

const failed = pending.extend({
  state: z.literal('failed'),
  delivery_id: z.string(),
  outcome: z.enum(['refused', 'unknown', 'rejected']),
  code: z.string(),
  retry_at: z.iso.datetime(),
});

const sent = group.extend({
  state: z.literal('sent'),
  delivery_id: z.string(),
  attempts: z.int(),
  may_repeat: z.boolean(),
});

/**
 * Not posted, because nobody needs it any more: approved (or explained) or resolved while it waited, or there was no
 * webhook when it came.
 */
const withdrawn = group.extend({ state: z.literal('withdrawn'), why: z.enum(['approved', 'resolved', 'no_webhook']) });

/** queued → planned → sent | failed → planned …; queued and failed may be withdrawn. */
export const deliverySchema = z.discriminatedUnion('state', [queued, planned, failed, sent, withdrawn]);

export type Delivery = z.infer<typeof deliverySchema>;
export type Pending = Extract<Delivery, { state: 'queued' | 'planned' | 'failed' }>;
export type Planned = Extract<Delivery, { state: 'planned' }>;

export function isPending(delivery: Delivery): delivery is Pending {
  return delivery.state === 'queued' || delivery.state === 'planned' || delivery.state === 'failed';
}

export function encodeDelivery(delivery: Delivery): Uint8Array {
  return Buffer.from(JSON.stringify(delivery));
}

/** Undefined for what is no delivery. */
export function decodeDelivery(value: Uint8Array): Delivery | undefined {
  try {
    return deliverySchema.safeParse(JSON.parse(Buffer.from(value).toString('utf8'))).data;
  } catch {
    return undefined;
  }
}

/** RFC 3339 with milliseconds. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}
