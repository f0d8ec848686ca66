import { setImmediate as turn } from 'node:timers/promises';
import type { SubscribeOptions } from './bus.ts';
import type { Intake } from './kafka-intake.ts';

/** Hands what lies behind a plan to the subscriber's `ahead`, for one partition during one tenure. */
export type HandingAhead = {
  /** Goes on, with what arrives meanwhile, for as long as the plan in hand is not `handled`. */
  during(handled: Promise<void>): Promise<void>;
  /** At the end of the tenure: what was handed ahead, and is still here, will come in no plan of this member. */
  end(): void;
};

/** Some 10 ms of decoding: whoever has a plan in hand has a turn in between. */
const SLICE_BYTES = 256 * 1024;
const EVERYTHING = { maxRecords: Number.MAX_SAFE_INTEGER, maxBytes: Number.MAX_SAFE_INTEGER };

export function createHandingAhead(intake: Intake, options: SubscribeOptions, going: () => boolean): HandingAhead {
  const { ahead } = options;
  /** Everything here before this offset was handed ahead. */
  let next = 0;
  if (ahead === undefined) return { during: async () => {}, end() {} };
  return {
    async during(handled) {
      let busy = true;
      const stop = (): void => {
        busy = false;
        intake.wake();
      };
      handled.then(stop, stop);
      await turn();
      while (busy && going()) {
        next = Math.max(next, intake.begin());
        const slice = intake.slice(next, options, SLICE_BYTES);
        if (slice.length > 0) {
          next = slice.at(-1)!.offset + 1;
          ahead.prepare(slice);
          await turn();
        } else await intake.changed();
      }
    },
    end() {
      const left = intake.slice(0, EVERYTHING, EVERYTHING.maxBytes).filter(({ offset }) => offset < next);
      if (left.length > 0) ahead.forget(left);
    },
  };
}
