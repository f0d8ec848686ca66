import { SetupError } from './errors.ts';

/** The bounds of a handed-out batch, as they are kept until it is acknowledged. */
export type Bounds = { readonly from: number; readonly to: number; readonly atMs: number };

/** What a group has done with a partition. */
export type Progress = {
  /** Everything before it is done. */
  readonly acked: number;
  /** The batch in hand, and when its first record was published. */
  readonly plan?: { readonly bounds: Bounds; readonly oldestMs: number } | undefined;
};

/**
 * How bounds are understood: `to` is one past the last offset, records between are never removed. A version that
 * understands them otherwise must refuse to replay these, because the replay would not be identical.
 */
const PLAN_RULE = 1;
const VERSION = 1;

/**
 * The metadata committed beside an offset (Kafka keeps up to 4,096 B of it): the id of the log the offset counts in,
 * and the plan. The offset itself is where the plan begins, or, without one, where the next begins.
 */
export function encodeProgress(busId: string, { plan }: Progress): string {
  const bounds = plan && { to: plan.bounds.to, at: plan.bounds.atMs, rule: PLAN_RULE, oldest: plan.oldestMs };
  return JSON.stringify({ v: VERSION, bus: busId, ...bounds });
}

/**
 * @returns undefined when nothing is committed that counts in this log: nothing at all, or by a log of the same name that
 *   was deleted since
 * @throws SetupError when another version or another program committed it
 */
export function decodeProgress(
  busId: string,
  offset: number,
  metadata: string | null,
  where: string,
): Progress | undefined {
  if (offset < 0) return undefined;
  const { v, bus, to, at, rule, oldest } = parseObject(metadata);
  if (v !== VERSION) {
    throw new SetupError(
      `${where} was consumed by something else than this version of Bintrail`,
      'see KAFKA_PREFIX, or let that version finish',
    );
  }
  if (bus !== busId) return undefined;
  if (to === undefined) return { acked: offset };
  if (rule !== PLAN_RULE) {
    throw new SetupError(
      `${where} holds a batch planned by another version (${rule})`,
      'let the version that planned it finish it, then upgrade',
    );
  }
  return {
    acked: offset,
    plan: { bounds: { from: offset, to: Number(to), atMs: Number(at) }, oldestMs: Number(oldest) },
  };
}

function parseObject(text: string | null): Record<string, unknown> {
  try {
    return Object(JSON.parse(text ?? ''));
  } catch {
    return {};
  }
}
