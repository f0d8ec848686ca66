/** Runs the drills one after the other, and gathers what is left after them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Store } from '@bintrail/runtime/store.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { eventually } from '../e2e/bintrail.ts';
import type { Driver, Ran } from './account.ts';
import { type StoredExec, storedExecs, storedMessages } from './in-the-store.ts';
import { takeFromBus } from './on-the-bus.ts';
import { type Drill, describeDrill, type Target } from './plan.ts';
import { allGone, kill, type Life, openItsStore, partsOn, startLife } from './system.ts';

const ORPHANS_END_MS = 30_000;

export type Ground = {
  readonly drills: readonly Drill[];
  readonly home: string;
  readonly driver: Driver;
  readonly slackUrl: string;
  readonly censusFolder: string;
};

/** A life that was ended by a kill; times on the clock of the account. */
export type Killed = {
  readonly drill: Drill;
  readonly victim: Target;
  /** On the clock of the day, as probes name their runs. */
  readonly startedMs: number;
  readonly startedNs: bigint;
  readonly upNs: bigint | undefined;
  readonly killNs: bigint;
  /** When the last of its processes was gone. */
  goneNs: bigint;
};

/** What all tests look at. */
export type Aftermath = {
  readonly killed: readonly Killed[];
  /** The life after the last kill: from its being up to the end of the driver nothing was killed. */
  readonly calm: { readonly startedNs: bigint; readonly upNs: bigint };
  readonly ran: readonly Ran[];
  readonly batches: readonly Batch[];
  readonly life: Life;
  readonly store: Store;
  readonly stored: readonly StoredExec[];
  /** Digests that the api acknowledged an approval of, while it was being killed. */
  readonly approved: readonly string[];
};
const seconds = (fromNs: bigint, toNs: bigint) => `${(Number(toNs - fromNs) / 1e9).toFixed(1)} s`;
const start = ({ home, slackUrl, censusFolder }: Ground) =>
  startLife(home, { SLACK_WEBHOOK_URL: slackUrl, BINTRAIL_CENSUS: censusFolder });

export async function runDrills(ground: Ground): Promise<Aftermath> {
  const { drills, home, driver } = ground;
  const approved: string[] = [];
  const killed: Killed[] = [];
  const ending: Promise<void>[] = [];
  for (const drill of drills) {
    const done = await runDrill(ground, drill, approved);
    killed.push(done.killed);
    ending.push(done.gone);
    if (!drill.impatient) await done.gone;
  }
  const calm = start(ground);
  await calm.isUp;
  await Promise.all(ending);
  await delay(2_000);
  const ran = await driver.stop();
  assert.equal(await calm.stop(), 0, calm.output());
  const batches = await takeFromBus(home);
  const life = start(ground);
  await life.isUp;
  const store = openItsStore(home);
  const epochs = epochsOf(batches);
  await eventually('all of the bus is stored', 60_000, async () =>
    (await storedMessages(store, epochs)) >= batches.length ? true : undefined,
  );
  const stored = await storedExecs(store, driver.folder);
  const times = { startedNs: calm.startedNs, upNs: calm.upNs()! };
  return { killed, calm: times, ran, batches, life, store, stored, approved };
}

/** One life and its end. `gone` resolves once nothing of it runs any more. */
async function runDrill(
  ground: Ground,
  drill: Drill,
  approved: string[],
): Promise<{ killed: Killed; gone: Promise<void> }> {
  const startedMs = Date.now();
  const life = start(ground);
  if (drill.since === 'up') await life.isUp;
  const writing = new AbortController();
  const writer = drill.since === 'up' ? approveUntil(writing.signal, life, approved) : undefined;
  await delay(drill.afterMs);
  const killNs = process.hrtime.bigint();
  const victim = kill(ground.home, drill);
  writing.abort();
  await Promise.all([writer, life.exited]);
  const code = await life.exited;
  const orphans = partsOn(ground.home);
  const upNs = life.upNs();
  const up = upNs === undefined ? 'not up yet' : `up after ${seconds(life.startedNs, upNs)}`;
  const over = `ended within ${seconds(killNs, process.hrtime.bigint())}, ${orphans.length} left to end`;
  console.log(`${describeDrill(drill)}: ${up}, ${victim} killed, exit code ${code}, ${over}`);
  assert.notEqual(code, 0, `a dead ${victim} is no orderly end`);
  const times = { startedMs, startedNs: life.startedNs, upNs, killNs, goneNs: 0n };
  const killed: Killed = { drill, victim, ...times };
  const gone = allGone(ground.home, orphans, ORPHANS_END_MS).then(() => {
    killed.goneNs = process.hrtime.bigint();
  });
  return { killed, gone };
}

/** Writes approvals of content that nobody runs; those the api acknowledged are kept for later. */
async function approveUntil(signal: AbortSignal, life: Life, approved: string[]): Promise<void> {
  while (!signal.aborted) {
    const sha256 = randomBytes(32).toString('hex');
    const approval = { match: { sha256: [sha256] }, effect: 'allow', scope: { workload: '*' }, reason: 'drill' };
    const answer = await life.call('POST', '/v1/approvals', { ...approval, expires_at: null }).catch(() => undefined);
    if (answer?.status === 201) approved.push(sha256);
    await delay(100);
  }
}

export const epochsOf = (batches: readonly Batch[]) => [
  ...new Set(batches.map(({ probeEpoch }) => Number(probeEpoch))),
];
