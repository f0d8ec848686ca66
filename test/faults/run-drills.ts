/** One living system under many faults, one after the other, and the full account of it every so many. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Driver, startDriver } from '../src/drills/account.ts';
import { storedExecs } from '../src/drills/in-the-store.ts';
import * as account from './account.ts';
import { createFleetSender, type FleetSender } from './fleet-sender.ts';
import { inject } from './inject.ts';
import { type Drill, describeDrill, type Pace, planDrills, type ServiceName } from './plan.ts';
import { handedOver, quiet } from './quiet.ts';
import { type System, startSystem, up } from './system.ts';
import { takeFromBus } from './taken.ts';
import { alertedOnce, foundOnce, kept } from './told.ts';

export type Drills = {
  readonly seed: number;
  readonly count: number;
  readonly pace: Pace;
  /** Faults between one full account and the next. */
  readonly checkEvery: number;
  /** No further fault after so long from the first, whatever is left of the count; the last account follows. */
  readonly budgetMs?: number;
  readonly say: (line: string) => void;
};

const PROGRAMS = 3_000;
/** Some 80 execs a second: a source that runs all the time, on a machine that has enough to do. */
const PAUSE_US = 10_000;
const APPROVE_MS = 500;

/** @returns what did not fit, empty when everything did */
export async function runDrills({ seed, count, pace, checkEvery, say, ...limits }: Drills): Promise<string[]> {
  const startedMs = performance.now();
  const clocked = (line: string) =>
    say(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  const system = await startSystem();
  const driver = await startDriver(join(system.folder, 'programs'), PROGRAMS, PAUSE_US);
  const world: World = {
    ...{ system, driver, say: clocked, approved: [], filledAtMs: [], fleet: createFleetSender(system.bus, seed) },
  };
  clocked('everything is up');
  const untilMs = performance.now() + (limits.budgetMs ?? Number.POSITIVE_INFINITY);
  let fits = false;
  try {
    for (const [at, drill] of planDrills(seed, count, pace).entries()) {
      if (at % checkEvery === 0) world.fleet.resume();
      await runDrill(world, drill, at + 1);
      const isLast = at + 1 === count || performance.now() > untilMs;
      if (!isLast && (at + 1) % checkEvery !== 0) continue;
      const complaints = await takeAccount(world, isLast);
      if (complaints.length > 0) return complaints;
      if (!isLast) continue;
      clocked(`${at + 1} of ${count} drills`);
      break;
    }
    fits = true;
    return [];
  } finally {
    await driver.stop().catch(() => {});
    const logs = await system.close(!fits);
    if (logs !== undefined) clocked(`logs are in ${logs}`);
  }
}

type World = {
  readonly system: System;
  readonly driver: Driver;
  readonly fleet: FleetSender;
  readonly say: (line: string) => void;
  /** When the outbox of the probe was filled, on the clock of the day. */
  readonly filledAtMs: number[];
  /** Digests whose approval the api acknowledged. */
  readonly approved: string[];
};

async function runDrill({ system, say, approved, filledAtMs }: World, drill: Drill, number: number): Promise<void> {
  await delay(drill.afterMs);
  say(`${number}. ${describeDrill(drill)}`);
  if (drill.fault.kind === 'outbox') filledAtMs.push(Date.now());
  const over = new AbortController();
  const approving = approveUntil(over.signal, system, approved);
  await inject(system, drill);
  over.abort();
  await approving;
}

/** Writes approvals of content that nobody runs. */
async function approveUntil(signal: AbortSignal, system: System, approved: string[]): Promise<void> {
  while (!signal.aborted) {
    const sha256 = randomBytes(32).toString('hex');
    const approval = { match: { sha256: [sha256] }, effect: 'allow', scope: { workload: '*' }, reason: 'drill' };
    const body = { ...approval, expires_at: null };
    const answer = await system.call('POST', '/v1/approvals', body).catch(() => undefined);
    if (answer?.status === 201) approved.push(sha256);
    await delay(APPROVE_MS, undefined, { signal }).catch(() => {});
  }
}

/** Lets everything come to rest, counts, and lets it go on. */
async function takeAccount(world: World, isLast: boolean): Promise<string[]> {
  const { system, driver, fleet, say } = world;
  system.slack.heal();
  await system.brokers.allStarted();
  for (const name of system.crews.keys()) await up(system, name as ServiceName);
  const sent = await fleet.pause();
  await handedOver(system);
  const [probe] = system.crews.get('probe')!;
  const code = await probe!.stop();
  await quiet(system);
  say('quiet');
  const taken = await takeFromBus(system.bus);
  const { store } = system.engine;
  say('read from the bus');
  const stored = await storedExecs(store, driver.folder);
  const complaints = [
    ...(code === 0 ? [] : [`the probe was asked to end, and ended with ${code}`]),
    ...system.complaints(),
    ...(await account.storedOnce(store, taken)),
    ...(await account.withoutHoles(store, taken)),
    ...(await account.addsUp(system, taken, say)),
    ...account.toldAll(taken, world.filledAtMs, say),
    ...account.trueToDriver(stored, isLast ? await driver.stop() : driver.soFar(), driver.digests),
    ...(await account.rolledUp(store)),
    ...(await account.trueToFleet(store, sent)),
    ...(await foundOnce(system, taken, stored)),
    ...alertedOnce(taken, system.slack.messages),
    ...(await kept(system, world.approved)),
  ];
  say(
    `${taken.real.length + taken.fleet.length} messages, ${taken.repeats} repeats, ${stored.length} execs of the driver, ` +
      `${sent.execs} of the fleet, ${system.slack.messages.length} posts, ${world.approved.length} approvals: ` +
      (complaints.length === 0 ? 'all of it fits' : `${complaints.length} complaints`),
  );
  if (!isLast) probe!.start();
  return complaints;
}
