/** The dead-letter topic, read: one letter for each record that was refused, with what became of it. */
import { createHash } from 'node:crypto';
import type { Bus, BusRecord } from '@bintrail/runtime/bus.ts';
import { type Origin, originId } from '@bintrail/runtime/dead.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { type DeadEntry, readEntry } from './entry.ts';

export type Refusal = { readonly stage: string; readonly reason: string; readonly atMs: number };

/** One refused record. Several stages may have refused it; each stage once, however often it tried. */
export type Letter = Origin & {
  readonly id: string;
  /** What the record was published under; undefined where an earlier version put it aside. */
  readonly key: string | undefined;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly refusals: readonly Refusal[];
  readonly replayedAtMs: readonly number[];
  /** Undefined unless asked for. */
  readonly bytes: Uint8Array | undefined;
};

export type DeadLetters = {
  readonly letters: ReadonlyMap<string, Letter>;
  /** Records of the topic that are no dead letters. */
  readonly unreadable: number;
};

const none = (): boolean => false;

/**
 * Reads the topic to its end as of the call. Bytes are kept of those records alone that `keepBytes` names: the topic may
 * hold more than fits in memory.
 */
export async function readLetters(bus: Bus, keepBytes: (id: string) => boolean = none): Promise<DeadLetters> {
  const letters = new Map<string, Letter>();
  let unreadable = 0;
  const take = ({ value, publishedAtMs }: BusRecord): void => {
    const entry = readEntry(value);
    if (entry === undefined) {
      unreadable += 1;
      return;
    }
    const id = originId(entry);
    const known = letters.get(id);
    if (entry.kind === 'dead') letters.set(id, withRefusal(known, id, entry, publishedAtMs, keepBytes(id)));
    else if (known) letters.set(id, { ...known, replayedAtMs: [...known.replayedAtMs, entry.atMs] });
  };
  const follower = await bus.follow(TOPICS.dead, (records) => records.forEach(take));
  await follower.close();
  return { letters, unreadable };
}

/** Other bytes under a known origin mean that its topic was deleted and made again: the newer record counts alone. */
function withRefusal(known: Letter | undefined, id: string, entry: DeadEntry, atMs: number, keep: boolean): Letter {
  const { topic, partition, offset, key, stage, reason, bytes } = entry;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const refusal = { stage, reason, atMs };
  if (known?.sha256 === sha256) {
    const repeated = known.refusals.some((each) => each.stage === stage && each.reason === reason);
    return { ...known, key: known.key ?? key, refusals: repeated ? known.refusals : [...known.refusals, refusal] };
  }
  const fresh = { refusals: [refusal], replayedAtMs: [], bytes: keep ? Uint8Array.from(bytes) : undefined };
  return { id, topic, partition, offset, key, sizeBytes: bytes.byteLength, sha256, ...fresh };
}

/** What must be true of one and the same refusal. */
export type Filter = {
  readonly stage?: string | undefined;
  readonly reason?: string | undefined;
  readonly topic?: string | undefined;
  readonly sinceMs?: number | undefined;
};

/** The letters that pass, in the order of their origins. */
export function select({ letters }: DeadLetters, { stage, reason, topic, sinceMs = 0 }: Filter): Letter[] {
  const passes = (refusal: Refusal): boolean =>
    (stage ?? refusal.stage) === refusal.stage &&
    (reason ?? refusal.reason) === refusal.reason &&
    refusal.atMs >= sinceMs;
  return [...letters.values()]
    .filter((letter) => (topic ?? letter.topic) === letter.topic && letter.refusals.some(passes))
    .sort(byOrigin);
}

function byOrigin(a: Origin, b: Origin): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return a.partition - b.partition || a.offset - b.offset;
}
