import type { SubscribeOptions } from './bus.ts';
import { createIntake, type Intake } from './kafka-intake.ts';
import type { Arrival, Tenure } from './kafka-member.ts';
import { inTenure, type Source, whereToGoOn } from './kafka-source.ts';

/** What a partition's worker works with during one tenure. */
export type Desk = {
  readonly intake: Intake;
  /** Hands in what was fetched; what does not follow is asked for again. */
  arrive(arrival: Arrival): void;
  /** Fetching goes on when little is here, and stops when much is, unless what is here ends before `wanted`. */
  balance(wanted: number): void;
};

/** One partition of a tenure, from `begin` on. Failures that are no matter of waiting go to `fail`. */
export function createDesk(
  source: Source,
  tenure: Tenure,
  partition: number,
  begin: number,
  options: SubscribeOptions,
  fail: (error: unknown) => void,
): Desk {
  const { topic, group } = options;
  const intake = createIntake(begin);
  let paused = false;
  let wantedTo = begin;
  let finding = false;

  const balance = (wanted: number): void => {
    wantedTo = wanted;
    if (tenure.over.aborted) return;
    const full = intake.holds(paused ? 1 : 2, options) && intake.next() >= wantedTo;
    if (full === paused) return;
    paused = full;
    if (full) tenure.pause(partition);
    else tenure.resume(partition);
  };
  /** kafkajs fetched from elsewhere: it resets offsets by itself, and moves those of a new generation by an old fetch. */
  const findAgain = async (): Promise<void> => {
    finding = true;
    const found = await inTenure(tenure, source.log, () =>
      whereToGoOn(source.cluster, topic, partition, intake.next()),
    );
    finding = false;
    if (found === undefined) return;
    if (found.gone > 0) {
      source.onGone({ topic, group, partition, records: found.gone });
      intake.restart(found.offset);
    }
    tenure.seek(partition, found.offset);
  };
  tenure.over.addEventListener('abort', intake.wake, { once: true });
  return {
    intake,
    balance,
    arrive(arrival) {
      if (finding) return;
      if (intake.accept(arrival)) balance(wantedTo);
      else findAgain().catch(fail);
    },
  };
}
