/** Everything a test of the whole of notify needs: a real bus in a folder of its own, a Slack-like receiver, and time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import type { ApprovalInput } from '@bintrail/schemas/approval.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { type Payload, textsOf } from '@bintrail/test/slack-payload.ts';
import { type SlackReceiver, startSlackReceiver } from '@bintrail/test/slack-receiver.ts';
import type { Sleep } from './alarm.ts';
import { type Delivery, decodeDelivery } from './delivery.ts';
import { createNotify, type Notify, type NotifyOptions } from './notify.ts';

export const START_MS = Date.parse('2026-11-23T12:00:00Z');

/** Time that passes only while somebody sleeps, and then at once. */
export type VirtualTime = { clock(): number; readonly sleep: Sleep; advance(ms: number): void };

export function virtualTime(startMs = START_MS): VirtualTime {
  let nowMs = startMs;
  return {
    clock: () => nowMs,
    sleep: async (ms, signal) => {
      if (!signal.aborted) nowMs += ms;
      await turn();
    },
    advance: (ms) => {
      nowMs += ms;
    },
  };
}

export async function newHome(t: TestContext): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'notify-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  return home;
}

/** The bus in a folder. Nothing is compacted while a test looks, so that it sees every record. */
export function openBus(t: TestContext, home: string): Bus {
  const bus = openBusFor(home);
  t.after(() => bus.close());
  return bus;
}

export function openBusFor(home: string): Bus {
  return openSqliteBus({ path: join(home, 'bus.db'), compactedTopics: COMPACTED_TOPICS, upkeepEveryMs: 1e9 });
}

export type Stand = {
  readonly home: string;
  readonly bus: Bus;
  readonly receiver: SlackReceiver;
  readonly time: VirtualTime;
  /** What was logged, and what the metrics say now. */
  readonly log: string[];
  metrics(): Promise<string>;
  /** Starts notify on this bus; it is closed after the test, if not before. */
  start(change?: Partial<NotifyOptions>): Promise<Notify>;
};

export async function makeStand(t: TestContext, home?: string): Promise<Stand> {
  const time = virtualTime();
  const folder = home ?? (await newHome(t));
  const bus = openBus(t, folder);
  const receiver = await startSlackReceiver({ clock: time.clock });
  t.after(() => receiver.close());
  const log: string[] = [];
  let metrics = createMetrics();
  return {
    ...{ home: folder, bus, receiver, time, log },
    metrics: async () => (await metrics.text()).body,
    async start(change = {}) {
      metrics = createMetrics();
      const notify = await createNotify({
        ...{ bus, metrics, clock: time.clock, sleep: time.sleep, webhookUrl: receiver.url },
        log: createLog({ level: 'trace', name: 'test', write: (line) => log.push(line) }),
        apiUrl: 'http://127.0.0.1:7070',
        tokenPath: '/var/lib/bintrail/token',
        ...change,
      });
      t.after(() => notify.close());
      return notify;
    },
  };
}

export async function publishFindings(bus: Bus, findings: readonly Finding[]): Promise<void> {
  await bus.publish(
    TOPICS.findings,
    findings.map((finding) => ({ key: finding.group_id, value: Buffer.from(JSON.stringify(finding)) })),
  );
}

async function publishPolicy(bus: Bus, key: string, record: PolicyRecord): Promise<void> {
  await bus.publish(TOPICS.policy, [{ key, value: Buffer.from(JSON.stringify(record)) }]);
}

export async function publishApproval(
  bus: Bus,
  match: ApprovalInput['match'],
  workload = '*',
  effect: 'allow' | 'deny' = 'allow',
): Promise<void> {
  const head = { id: `a-${JSON.stringify(match)}-${workload}`, revision: 1, expires_at: null };
  const tail = { reason: 'reviewed', author: 'ann', created_at: new Date(START_MS).toISOString() };
  const approval = { ...head, match, effect, scope: { workload }, ...tail };
  await publishPolicy(bus, `approval:${head.id}`, { kind: 'approval', revision: 1, deleted: false, approval });
}

/** Somebody resolved this finding for the `episode`th time. */
export async function publishResolve(bus: Bus, { finding_id }: Finding, episode = 1): Promise<void> {
  const at = new Date(START_MS).toISOString();
  const record = { kind: 'action', revision: 100 + episode, finding_id, action: 'resolve', episode, at } as const;
  await publishPolicy(bus, `finding:${finding_id}`, record);
}

/** Waits for something another part of the process brings about; the runner's timeout ends it when it never comes. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(5);
}

/** Resolves once every finding was taken in and nothing is left to be posted. */
export async function drained(bus: Bus, notify: Notify): Promise<void> {
  await eventually(() => notify.status().partitions.length > 0);
  await eventually(async () => (await bus.lag(TOPICS.findings, 'notify')).records === 0);
  await eventually(() => notify.status().waiting === 0);
}

/** All records ever written about deliveries, in order. */
export async function deliveries(bus: Bus): Promise<Delivery[]> {
  const found: Delivery[] = [];
  const follower = await bus.follow(TOPICS.deliveries, (records) => {
    for (const { value } of records) found.push(decodeDelivery(value)!);
  });
  await follower.close();
  return found;
}

export const statesOf = async (bus: Bus): Promise<string[]> => (await deliveries(bus)).map(({ state }) => state);

/** What a person sees of a message. */
export const shownText = (message: Payload): string =>
  (message.blocks === undefined ? [message.text ?? ''] : textsOf(message.blocks)).join('\n');

/** The paths a message tells of, each with whether it is marked as a possible repeat there. */
export function toldPaths(message: Payload): { path: string; marked: boolean }[] {
  const lines = shownText(message).split('\n');
  const listed = lines.filter((line) => line.startsWith('•'));
  const about = listed.length > 0 ? listed : [shownText(message).replaceAll('\n', ' ')];
  return about.map((text) => ({
    path: /`(\/opt\/[\w-]+)`/.exec(text)?.[1] ?? '?',
    marked: /may be a repeat/i.test(text),
  }));
}
