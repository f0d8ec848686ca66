import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bus, Plan, SubscribeOptions } from './bus.ts';

/** One adapter under test. */
export type Adapter = {
  readonly name: string;
  /** Opens the bus that lives at `location`: the same one for the same location, a new one for a new location. */
  readonly open: (location: string) => Bus | Promise<Bus>;
  /** A module that exports this same `open`, for the processes that get killed. */
  readonly module: URL;
  /**
   * A second subscription of a group gets the batch of the first at once, although that one lives and has not finished.
   * Without it a batch moves on only when its holder has left the group, or is dead.
   */
  readonly takesOver: boolean;
  /** Tests this adapter cannot pass, by name, each with its reason. */
  readonly skip?: Readonly<Record<string, string>>;
};

/** A topic every adapter under test must treat as compacted. */
export const COMPACTED = 'compacted';

/** Messages of one publish in the tests that kill a publisher: enough that some kills fall into the middle of one. */
export const LOT = 200;

export const text = (value: Uint8Array): string => Buffer.from(value).toString();
export const message = (key: string, value: string | Uint8Array) => ({ key, value: Buffer.from(value) });
export const wide = { maxRecords: 1_000, maxBytes: 1_000_000 };

/** A new location; its folder is removed when the tests are over and every bus in it is closed. */
export async function newLocation(): Promise<string> {
  const location = await mkdtemp(join(tmpdir(), 'bus-'));
  locations.push(location);
  return location;
}

const locations: string[] = [];
process.once('exit', () => {
  for (const location of locations) rmSync(location, { recursive: true, force: true });
});

/** Opens a bus that is closed after the test, if not before. */
export async function openFor(t: TestContext, adapter: Adapter, location: string): Promise<Bus> {
  const bus = await adapter.open(location);
  t.after(() => letGo(bus));
  return bus;
}

/** Closes a bus although the test still holds plans of it. */
export async function letGo(bus: Bus): Promise<void> {
  for (const held of heldPlans.get(bus) ?? []) held.fail(new Error('the test is over'));
  await bus.close();
}

const heldPlans = new WeakMap<Bus, Held[]>();

/** A plan held until the test decides: `acknowledge` lets the handler return, `fail` lets it throw. */
export type Held = { readonly plan: Plan; acknowledge(): void; fail(error: unknown): void };

/** A subscription that hands its plans to the test one by one. */
export function hold(bus: Bus, options: SubscribeOptions) {
  const arrived: Held[] = [];
  const all = heldPlans.get(bus) ?? [];
  heldPlans.set(bus, all);
  const waiting: ((held: Held) => void)[] = [];
  const subscription = bus.subscribe(options, (plan) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const held = { plan, acknowledge: resolve, fail: reject };
    all.push(held);
    const next = waiting.shift();
    if (next) next(held);
    else arrived.push(held);
    return promise;
  });
  subscription.done.catch(() => {});
  const next = async (): Promise<Held> => arrived.shift() ?? new Promise((resolve) => waiting.push(resolve));
  return { subscription, next };
}

/** Plans until `records` records were handed out and acknowledged. */
export async function take(bus: Bus, options: SubscribeOptions, records: number): Promise<Plan[]> {
  const plans: Plan[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  let count = 0;
  const subscription = bus.subscribe(options, async (plan) => {
    plans.push(plan);
    count += plan.records.length;
    if (count >= records) resolve();
  });
  await Promise.race([promise, subscription.done]);
  await subscription.close();
  return plans;
}

/** What must be the same when a plan is handed out again. */
export const identity = ({ busId, topic, group, partition, from, to, atMs, records }: Plan) => ({
  ...{ busId, topic, group, partition, from, to, atMs },
  records: records.map(({ offset, key, publishedAtMs, value }) => ({ offset, key, publishedAtMs, value: text(value) })),
});

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_500; tries += 1) {
    if (await holds()) return;
    await delay(20);
  }
  throw new Error(`never happened: ${what}`);
}

/** A process that can be killed and says what it does, one JSON line at a time. */
export type Child = {
  /** The next line it prints, parsed; undefined when it has ended. */
  next(): Promise<Record<string, unknown> | undefined>;
  kill(): Promise<void>;
  /** SIGSTOP makes it stand still, SIGCONT go on. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
};

/** A process that works on the bus as `bus.contract.child.ts` says. */
export const startChild = (t: TestContext, adapter: Adapter, location: string, role: string): Child =>
  startProcess(t, new URL('./bus.contract.child.ts', import.meta.url), [adapter.module.href, location, role]);

export function startProcess(t: TestContext, script: URL, args: readonly string[]): Child {
  const child = spawn(process.execPath, [script.pathname, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  t.after(kill);
  return {
    kill,
    signal: (name) => child.kill(name),
    async next() {
      const line = await lines.next();
      return line.done ? undefined : JSON.parse(line.value);
    },
  };
}
