/** The simulated fleet beside the real probe: it sends as outboxes do, again where no answer came, and now and then twice. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Bus, Message } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { createFleet, type FleetAccount } from '../src/fleet/fleet.ts';
import { seededRandom } from '../src/seeded-random.ts';

const EXECS_A_ROUND = 40;
const ROUND_MS = 250;
const AGAIN_MS = 250;
/** Of rounds whose messages are sent once more: a probe died between Kafka's answer and its own outbox's. */
const TWICE_SHARE = 0.1;

export type FleetSender = {
  /** Sends until the promise of `pause` is asked for. */
  resume(): void;
  /** Sends what is still to be said, and nothing after it; the exact account of all that was sent. */
  pause(): Promise<FleetAccount>;
};

export function createFleetSender(bus: Bus, seed: number): FleetSender {
  const fleet = createFleet({ seed, nodes: 20, workloads: 8, startMs: Date.now() - 60_000, maxRows: 8 });
  const random = seededRandom(seed + 1);
  let going = false;
  let running: Promise<void> = Promise.resolve();
  const round = async (messages: readonly Message[]): Promise<void> => {
    await send(bus, messages);
    if (random() < TWICE_SHARE) await send(bus, messages);
  };
  const run = async (): Promise<void> => {
    while (going) {
      await round(fleet.send(EXECS_A_ROUND));
      await delay(ROUND_MS);
    }
  };
  return {
    resume() {
      going = true;
      running = run();
    },
    async pause() {
      going = false;
      await running;
      await round(fleet.finish());
      return fleet.account();
    },
  };
}

async function send(bus: Bus, messages: readonly Message[]): Promise<void> {
  for (;;) {
    try {
      return await bus.publish(TOPICS.events, messages);
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      await delay(AGAIN_MS);
    }
  }
}
