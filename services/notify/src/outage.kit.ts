/**
 * A Slack that answers nothing but faults for a while, findings that keep coming, and a notify that is killed and
 * started again all the time. What happens when is drawn from a seed; what that leads to is for the account to judge.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Bus } from '@bintrail/runtime/bus.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { type Random, seededRandom } from '@bintrail/schemas/mutation.fixture.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import type { Attempt, Fault, SlackReceiver } from '@bintrail/test/slack-receiver.ts';
import { type Delivery, decodeDelivery } from './delivery.ts';
import { digestOf, makeFinding } from './finding.fixture.ts';
import { publishFindings } from './notify.kit.ts';
import type { NotifyOptions } from './notify.ts';
import { DEFAULT_RETRY } from './retry.ts';

export type OutagePlan = { readonly seed: number; readonly durationMs: number };

/** What there is to judge once everything was told. */
export type Outage = {
  /** Paths of what was found, by group: each is a path of its own. */
  readonly published: ReadonlyMap<string, string>;
  /** As the receiver saw them, in order. */
  readonly attempts: readonly Attempt[];
  /** Every record that notify wrote about deliveries, in order. */
  readonly records: readonly Delivery[];
  readonly kills: number;
};

/** From this length on waits are those of production; a shorter outage has them shortened alike. */
const FULL_MS = 300_000;
const KILLS = 12;
const MIN_LIFE_MS = 2_500;
const MAX_RETRY_AFTER_S = 30;
/** More than anybody can have posted in time. */
const FAULTS = 5_000;
const WATCH_ON_MS = 2_500;

export async function runOutage(bus: Bus, receiver: SlackReceiver, home: string, plan: OutagePlan): Promise<Outage> {
  const scale = Math.min(1, plan.durationMs / FULL_MS);
  const faults = seededRandom(plan.seed);
  receiver.fail(...Array.from({ length: FAULTS }, () => drawFault(faults, scale)));
  const records: Delivery[] = [];
  const newest = new Map<string, Delivery>();
  const follower = await bus.follow(TOPICS.deliveries, (found) => {
    for (const { key, value } of found) {
      const delivery = decodeDelivery(value)!;
      records.push(delivery);
      newest.set(key, delivery);
    }
  });
  const published = new Map<string, string>();
  const isTold = () => [...published.keys()].every((id) => newest.get(id)?.state === 'sent');
  const outage = AbortSignal.timeout(plan.durationMs);
  const running = keepKilling(receiver, home, seededRandom(plan.seed + 1), plan.durationMs, scale, outage);
  try {
    await publishUntil(outage, bus, seededRandom(plan.seed + 2), published);
    receiver.heal();
    const { kills, child } = await running;
    while (!isTold()) {
      if (child.exitCode !== null) throw new Error(`notify ended with ${child.exitCode}`);
      await delay(100);
    }
    // A repeat that should not be would come now.
    await delay(WATCH_ON_MS);
    return { published, attempts: receiver.attempts.toSorted((a, b) => a.atMs - b.atMs), records, kills };
  } finally {
    const { child } = await running;
    child.kill('SIGKILL');
    await follower.close();
  }
}

function drawFault(random: Random, scale: number): Fault {
  const recorded = random(2) === 0;
  const kind = (['rate-limited', 'status', 'garbage', 'hang', 'reset'] as const)[random(5)]!;
  if (kind === 'rate-limited')
    return { kind, retryAfter: String(1 + random(Math.ceil(Math.max(4, MAX_RETRY_AFTER_S * scale)))) };
  if (kind === 'status') return { kind, status: recorded ? 500 : 503, body: 'rollup_error' };
  return { kind, recorded };
}

/** Mostly what nobody has seen before; now and then an old finding again, or an old one in a new workload. */
async function publishUntil(end: AbortSignal, bus: Bus, random: Random, published: Map<string, string>): Promise<void> {
  const old: Finding[] = [];
  for (let n = 0; !end.aborted; n++) {
    const again = old.length > 0 && random(5) === 0 ? old[random(old.length)] : undefined;
    const { sha256, path } = again ?? { sha256: digestOf(n), path: `/opt/p${n}` };
    const workload = random(3) === 0 ? `container/docker/c${random(50)}` : 'systemd/cron.service';
    const finding = makeFinding({ sha256, path, workload });
    await publishFindings(bus, [finding]);
    old.push(finding);
    published.set(finding.group_id, path);
    await pause(random(1_500), end);
  }
}

/** Kills and restarts notify until the outage ends, half of the times just when a post arrived; leaves the last alive. */
async function keepKilling(
  receiver: SlackReceiver,
  home: string,
  random: Random,
  durationMs: number,
  scale: number,
  end: AbortSignal,
): Promise<{ kills: number; child: ChildProcess }> {
  const lifeMs = Math.max(MIN_LIFE_MS, durationMs / KILLS);
  const start = () => startNotify(home, receiver.url, scale);
  let child = start();
  let kills = 0;
  for (;;) {
    await pause(random(2 * lifeMs), end);
    if (random(2) === 0) {
      const before = receiver.attempts.length;
      while (!end.aborted && receiver.attempts.length === before) await pause(1, end);
      await pause(random(6), end);
    }
    if (end.aborted) return { kills, child };
    const exited = once(child, 'exit');
    if (!child.kill('SIGKILL')) throw new Error(`notify had ended by itself, with ${child.exitCode}`);
    await exited;
    kills += 1;
    child = start();
  }
}

function startNotify(home: string, webhookUrl: string, scale: number): ChildProcess {
  const { baseMs, capMs } = DEFAULT_RETRY;
  const options: Partial<NotifyOptions> = {
    // Two seconds at least: a busy machine must not look like a Slack that hangs.
    postTimeoutMs: Math.max(2_000, 10_000 * scale),
    retry: { ...DEFAULT_RETRY, capMs: Math.max(baseMs, capMs * scale) },
  };
  const program = fileURLToPath(new URL('./notify.child.ts', import.meta.url));
  return spawn(process.execPath, [program, home, webhookUrl, JSON.stringify(options)], { stdio: 'inherit' });
}

/** A delay that an end cuts short. */
async function pause(ms: number, end: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: end }).catch(() => {});
}
