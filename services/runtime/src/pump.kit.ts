/** For tests of the pump: a real bus with a pump on it that sorts `work`. */
import type { TestContext } from 'node:test';
import { letGo, message, newLocation, until } from './bus.contract.kit.ts';
import type { Bus, Plan } from './bus.ts';
import { createLog } from './log.ts';
import { createMetrics } from './metrics.ts';
import { type Processed, type Pump, type PumpOptions, pump } from './pump.ts';
import { open } from './sqlite-bus.contract.ts';

export const backoff = { baseMs: 1, capMs: 4 };

/** A pump's bus, log and metrics, removed with the test. */
export async function setUp(t: TestContext): Promise<{
  bus: Bus;
  location: string;
  lines: string[];
  value: (name: string) => Promise<number>;
  start(process: PumpOptions['process'], more?: Partial<PumpOptions>): Pump;
}> {
  const location = await newLocation();
  const bus = open(location);
  t.after(() => letGo(bus));
  const lines: string[] = [];
  const metrics = createMetrics();
  const common = { topic: 'work', group: 'g', stage: 'sorting', deadTopic: 'dead', maxRecords: 2, maxBytes: 1_000 };
  return {
    bus,
    location,
    lines,
    async value(name) {
      const { body } = await metrics.text();
      const line = body
        .split('\n')
        .find((each) => each.startsWith(`bintrail_stage_${name}{stage="sorting",topic="work"}`));
      return Number(line?.split(' ')[1]);
    },
    start: (process, more = {}) =>
      pump({
        bus,
        metrics,
        backoff,
        process,
        log: createLog({ level: 'info', name: 'test', write: (line) => lines.push(line) }),
        ...common,
        ...more,
      }),
  };
}

export const fine = (plan: Plan): Processed => ({ in: plan.records.length, out: plan.records.length, dead: [] });
export const publish = (bus: Bus, ...values: string[]): Promise<void> =>
  bus.publish(
    'work',
    values.map((value) => message('k', value)),
  );
export const drained = (bus: Bus) =>
  until('all work is acknowledged', async () => (await bus.lag('work', 'g')).records === 0);
