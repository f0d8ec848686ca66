/**
 * Copies of notify that come, go, are killed and stand still, while findings flow and Slack misbehaves. What happens when is
 * drawn from a seed; what that led to is judged from the deliveries on the bus and from what arrived.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { type Delivery, decodeDelivery } from '@bintrail/notify/delivery.ts';
import { digestOf, makeFinding } from '@bintrail/notify/finding.fixture.ts';
import { publishFindings, toldPaths } from '@bintrail/notify/notify.kit.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { type Random, seededRandom } from '@bintrail/schemas/mutation.fixture.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import type { Attempt, Fault, SlackReceiver } from '../src/slack-receiver.ts';

/** A copy that says nothing for two seconds is replaced. */
export const TIMING = {
  sessionTimeoutMs: 2_000,
  heartbeatMs: 250,
  rebalanceTimeoutMs: 5_000,
  maxWaitMs: 50,
  stallMs: 30_000,
};
const COPIES = 3;
const STAND_STILL_MS = TIMING.sessionTimeoutMs + 1_500;
const MESSAGE_EVERY_MS = 120;
const POSTS_AGAIN_WITHIN_MS = 60_000;
const TOLD_WITHIN_MS = 60_000;
/** A repeat that should not be would come now. */
const WATCH_ON_MS = 2_500;

export type Chaos = {
  /** Paths of what was found, by group: each is a path of its own. */
  readonly published: ReadonlyMap<string, string>;
  readonly attempts: readonly Attempt[];
  /** All records of each group, in order. */
  readonly records: ReadonlyMap<string, readonly Delivery[]>;
  /** How often what was to be done to the copies, by the seed, and was done. */
  readonly planned: Readonly<Record<Kind, number>>;
  readonly done: Readonly<Record<Kind, number>>;
};

type Kind = 'killed' | 'stopped' | 'asked' | 'added';
type Disturbance = {
  readonly kind: Kind;
  /** Which of the copies, modulo how many there are. */
  readonly copy: number;
  /** After the next post that arrives; 0 is in the middle of it. */
  readonly afterPostMs: number;
};

const KINDS = ['killed', 'stopped', 'stopped', 'asked', 'added'] as const;
const DISTURB_EVERY_MS = 2_500;

/** At least one kill and one that stands still, whatever the seed. */
function planDisturbances(random: Random, durationMs: number): Disturbance[] {
  const count = Math.max(2, Math.floor(durationMs / DISTURB_EVERY_MS));
  return Array.from({ length: count }, (_, n) => ({
    kind: n === 0 ? 'killed' : n === 1 ? 'stopped' : KINDS[random(KINDS.length)]!,
    copy: random(100),
    afterPostMs: random(2) * random(3_500),
  }));
}

function countKinds(planned: readonly Disturbance[]): Record<Kind, number> {
  const count = (kind: Kind) => planned.filter((each) => each.kind === kind).length;
  return { killed: count('killed'), stopped: count('stopped'), asked: count('asked'), added: count('added') };
}

export async function runChaos(
  bus: Bus,
  receiver: SlackReceiver,
  location: string,
  { seed, durationMs }: { readonly seed: number; readonly durationMs: number },
): Promise<Chaos> {
  const records = new Map<string, Delivery[]>();
  const follower = await bus.follow(TOPICS.deliveries, (found) => {
    for (const { key, value } of found) records.set(key, [...(records.get(key) ?? []), decodeDelivery(value)!]);
  });
  const published = new Map<string, string>();
  const end = new AbortController();
  const crew = createCrew(location, receiver.url);
  const planned = planDisturbances(seededRandom(seed + 2), durationMs);
  try {
    for (let n = 0; n < COPIES; n += 1) crew.start();
    await Promise.all([
      publishUntil(end.signal, bus, seededRandom(seed), published),
      misbehaveUntil(end.signal, receiver, seededRandom(seed + 1)),
      crew.disturb(planned, receiver).finally(() => end.abort()),
    ]);
    receiver.heal();
    crew.check();
    const givesUpMs = performance.now() + TOLD_WITHIN_MS;
    const isTold = (id: string) => records.get(id)?.at(-1)?.state === 'sent';
    while (performance.now() < givesUpMs && ![...published.keys()].every(isTold)) await delay(50);
    await delay(WATCH_ON_MS);
    await follower.catchUp();
    const attempts = receiver.attempts.toSorted((a, b) => a.atMs - b.atMs);
    return { published, attempts, records, planned: countKinds(planned), done: crew.done };
  } finally {
    await crew.end();
    await follower.close();
  }
}

function createCrew(location: string, url: string) {
  const program = new URL('./notify.child.ts', import.meta.url).pathname;
  const running: ChildProcess[] = [];
  const asleep = new Set<Promise<void>>();
  const done = { killed: 0, stopped: 0, asked: 0, added: 0 };
  const ends = new Map<ChildProcess, Promise<unknown>>();
  const failed: string[] = [];
  const start = (): void => {
    const child = spawn(process.execPath, [program, location, url], { stdio: ['ignore', 'inherit', 'inherit'] });
    running.push(child);
    ends.set(child, once(child, 'exit'));
    child.once('exit', (code) => code && failed.push(`a copy ended with ${code}`));
  };
  const standStill = async (child: ChildProcess): Promise<void> => {
    assert(child.kill('SIGSTOP'));
    await delay(STAND_STILL_MS);
    child.kill('SIGCONT');
  };
  const disturb = (kind: Kind, child: ChildProcess): void => {
    done[kind] += 1;
    if (kind === 'stopped') {
      const sleeping = standStill(child).finally(() => asleep.delete(sleeping));
      asleep.add(sleeping);
      return;
    }
    if (kind !== 'added') running.splice(running.indexOf(child), 1);
    if (kind === 'killed') assert(child.kill('SIGKILL'));
    if (kind === 'asked') assert(child.kill('SIGTERM'));
    if (running.length < COPIES || kind === 'added') start();
  };
  return {
    start,
    done,
    async disturb(planned: readonly Disturbance[], receiver: SlackReceiver): Promise<void> {
      for (const { kind, copy, afterPostMs } of planned) {
        // However slow the machine: a copy is disturbed when copies work, not while they start.
        const before = receiver.attempts.length;
        const givesUpMs = performance.now() + POSTS_AGAIN_WITHIN_MS;
        while (receiver.attempts.length === before) {
          assert(performance.now() < givesUpMs, `nothing was posted for ${POSTS_AGAIN_WITHIN_MS / 1000} s`);
          await delay(1);
        }
        await delay(afterPostMs);
        disturb(kind, running[copy % running.length]!);
      }
      await Promise.all(asleep);
    },
    check(): void {
      if (failed.length > 0) throw new Error(failed.join(', '));
    },
    async end(): Promise<void> {
      for (const child of ends.keys()) child.kill('SIGKILL');
      await Promise.all(ends.values());
    },
  };
}

/** Mostly what nobody has seen before; now and then an old one in another workload. */
async function publishUntil(end: AbortSignal, bus: Bus, random: Random, published: Map<string, string>): Promise<void> {
  for (let n = 0; !end.aborted; n += 1) {
    const subject = n > 0 && random(6) === 0 ? random(n) : n;
    const workload = `container/docker/c${random(50)}`;
    const finding = makeFinding({ sha256: digestOf(subject), path: `/opt/p${subject}`, workload });
    await publishFindings(bus, [finding]);
    published.set(finding.group_id, finding.path);
    await delay(random(2 * MESSAGE_EVERY_MS));
  }
}

async function misbehaveUntil(end: AbortSignal, receiver: SlackReceiver, random: Random): Promise<void> {
  while (!end.aborted) {
    if (random(2) === 0) receiver.fail(drawFault(random));
    await delay(random(600));
    if (random(4) === 0) receiver.hangUp();
  }
}

function drawFault(random: Random): Fault {
  const recorded = random(2) === 0;
  const kind = (['rate-limited', 'status', 'garbage', 'hang', 'reset'] as const)[random(5)]!;
  if (kind === 'rate-limited') return { kind, retryAfter: '1' };
  if (kind === 'status') return { kind, status: 500, body: 'rollup_error' };
  return { kind, recorded };
}

/** What is wrong, group by group; nothing when all is as promised. */
export function judgeChaos({ published, attempts, records }: Chaos): { complaints: string[]; figures: object } {
  const told = attempts.flatMap(({ message, taken }) =>
    (message === undefined ? [] : toldPaths(message)).map((each) => ({ ...each, taken })),
  );
  const byPath = Map.groupBy(told, ({ path }) => path);
  const complaints = [...published].flatMap(([group, path]) => {
    const own = records.get(group) ?? [];
    const arrived = byPath.get(path) ?? [];
    const taken = arrived.filter((each) => each.taken);
    const posts = new Set(own.flatMap((record) => (record.state === 'planned' ? [record.delivery_id] : [])));
    const faults = [...misplanned(own)];
    if (taken.length === 0) faults.push('was never told');
    if (taken.filter(({ marked }) => !marked).length > 1) faults.push('was told twice without a mark');
    if (arrived.length > posts.size) faults.push(`was posted ${arrived.length} times and planned ${posts.size} times`);
    return faults.map((fault) => `${path} ${fault}: ${own.map(({ state }) => state).join(' ')}`);
  });
  const planned = [...records.values()].flat().filter(({ state }) => state === 'planned').length;
  const repeats = told.filter(({ marked }) => marked).length;
  return { complaints, figures: { groups: published.size, attempts: attempts.length, planned, repeats } };
}

/** By its records a group is posted again only after a post that failed, and marked exactly when one was lost before. */
function* misplanned(records: readonly Delivery[]): Iterable<string> {
  const outcomes = new Map<string, 'lost' | 'sent' | 'refused'>();
  for (const record of records) {
    if (record.state === 'sent') outcomes.set(record.delivery_id, 'sent');
    if (record.state === 'failed') outcomes.set(record.delivery_id, record.outcome === 'unknown' ? 'lost' : 'refused');
    if (record.state !== 'planned') continue;
    const before = [...outcomes].filter(([id]) => id !== record.delivery_id).map(([, outcome]) => outcome);
    if (before.includes('sent')) yield 'was planned again after it was sent';
    if (record.may_repeat !== before.includes('lost')) yield `was ${record.may_repeat ? '' : 'not '}marked`;
    // Until an outcome says otherwise.
    outcomes.set(record.delivery_id, 'lost');
  }
}
