/** Publishes dead letters again, where they came from and under the key they had. */
import type { Bus, Message } from '@bintrail/runtime/bus.ts';
import { inLots, type Origin, replayedMessage } from '@bintrail/runtime/dead.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { type Letter, readLetters } from './letters.ts';

/** Bytes held in memory at a time; one letter larger than that goes alone. */
const ROUND_BYTES = 64 * 1024 * 1024;

/** Where stages put records aside from. A letter that names another topic is a mistake, or somebody's trick. */
const ORIGINS: ReadonlySet<string> = new Set([TOPICS.events, TOPICS.findings]);

/** Why a letter cannot be replayed; undefined when it can. */
export function obstacle({ topic, key }: Letter): string | undefined {
  if (!ORIGINS.has(topic)) return `no stage puts records of ${topic} aside`;
  return key === undefined ? 'put aside by a version that did not keep its key' : undefined;
}

export type ReplayOptions = {
  readonly clock: () => number;
  /** Told after each letter is on the bus again and that is noted. */
  readonly onReplayed: (letter: Letter) => void;
};

/**
 * Replays letters in their order, at least once: the record first, then the note of it, so that a crash between repeats
 * it the next time. All must be without {@link obstacle}.
 * @throws Transient when the bus is full or away: what `onReplayed` was told of is done
 */
export async function replay(bus: Bus, letters: readonly Letter[], { clock, onReplayed }: ReplayOptions) {
  for (const round of rounds(letters)) {
    const wanted = new Set(round.map(({ id }) => id));
    const { letters: found } = await readLetters(bus, (id) => wanted.has(id));
    // What the topic's retention has taken meanwhile is not there any more.
    const present = round.flatMap(({ id }) => found.get(id) ?? []);
    for (const [topic, together] of Map.groupBy(present, (letter) => letter.topic)) {
      const origins = new Map<Message, Letter>(
        together.map((letter) => [{ key: letter.key!, value: letter.bytes! }, letter]),
      );
      for (const lot of inLots(origins.keys())) {
        const sent = lot.map((message) => origins.get(message)!);
        await bus.publish(topic, lot);
        await bus.publish(
          TOPICS.dead,
          sent.map((origin: Origin) => replayedMessage(origin, clock())),
        );
        sent.forEach(onReplayed);
      }
    }
  }
}

function* rounds(letters: readonly Letter[]): Generator<Letter[]> {
  let round: Letter[] = [];
  let bytes = 0;
  for (const letter of letters) {
    if (round.length > 0 && bytes + letter.sizeBytes > ROUND_BYTES) {
      yield round;
      round = [];
      bytes = 0;
    }
    round.push(letter);
    bytes += letter.sizeBytes;
  }
  if (round.length > 0) yield round;
}
