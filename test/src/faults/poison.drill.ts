/**
 * Poison on every topic, among records that are none, on a real bus and a real store: no stage stops, the good ones land
 * exactly once, the bad ones lie in `bintrail.dead` with their reason and their very bytes.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createPolicyView } from '@bintrail/analysis/policy-view.ts';
import { createDetect } from '@bintrail/detect/detect.ts';
import { createDetectState, detect } from '@bintrail/detect/stage.ts';
import { createIngest } from '@bintrail/ingest/ingest.ts';
import { decoded, type TestStore } from '@bintrail/ingest/store.fixture.ts';
import { makeFinding } from '@bintrail/notify/finding.fixture.ts';
import { createNotify } from '@bintrail/notify/notify.ts';
import { newLocation } from '@bintrail/runtime/bus.contract.kit.ts';
import type { Bus, BusRecord, Message } from '@bintrail/runtime/bus.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics, type Metrics } from '@bintrail/runtime/metrics.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { readLetters } from '@bintrail/standalone/dead/letters.ts';
import { createFleet, type FleetAccount } from '../fleet/fleet.ts';
import { seededRandom } from '../seeded-random.ts';
import { startSlackReceiver } from '../slack-receiver.ts';
import type { DrilledBus } from './drilled-bus.ts';
import { GARBAGE, type Poison, poisonedEvents, poisonedFindings } from './poison.ts';

const EXECS = 2_000;
const log = createLog({ level: 'silent', name: 'poison' });

/** Runs the drill; the same seed mixes the same records in the same order. */
export async function drillPoison(t: TestContext, drilled: DrilledBus, store: TestStore['store'], seed: number) {
  const bus = await drilled.open(await newLocation());
  t.after(() => bus.close());
  const sent = mix(drilled, seed);
  for (const topic of [TOPICS.policy, TOPICS.deliveries]) await publish(bus, topic, garbage());

  // Half of it lies there before anybody reads, the rest comes while they do.
  await sendHalf(bus, sent, 0);
  const stages = await startStages(t, bus, store);
  const rest = async (): Promise<void> => {
    await publish(bus, TOPICS.policy, [...garbage(), approvalOfNothing()]);
    await sendHalf(bus, sent, 1);
    await settled(bus, stages);
  };
  await rest().finally(stages.close);

  const published = await publishedFindings(bus, sent);
  await assertStored(store, sent, published);
  await assertDead(bus, sent);
  await assertCounted(stages.metrics, sent, published);
}

type Sent = {
  readonly account: FleetAccount;
  readonly goodEvents: readonly Uint8Array[];
  readonly badEvents: readonly Poison[];
  readonly badFindings: readonly Poison[];
  readonly events: readonly Message[];
};

function mix({ oversizedBytes }: DrilledBus, seed: number): Sent {
  const fleet = createFleet({ seed, nodes: 12, workloads: 8, startMs: Date.now() - 60_000, maxRows: 8 });
  const good = [...fleet.send(EXECS), ...fleet.finish()];
  const badEvents = poisonedEvents(good[0]!.value, oversizedBytes);
  const random = seededRandom(seed);
  const events: Message[] = [...good];
  for (const { value } of badEvents) {
    // Under the key of a node, so that on a bus with partitions it lies among that node's records.
    const key = good[Math.floor(random() * good.length)]!.key;
    events.splice(Math.floor(random() * (events.length + 1)), 0, { key, value });
  }
  const badFindings = poisonedFindings(makeFinding(), oversizedBytes);
  return { account: fleet.account(), goodEvents: good.map(({ value }) => value), badEvents, badFindings, events };
}

/** Each under a key of its own: of one key only the newest record counts. */
const garbage = (): Message[] => GARBAGE.map((value, n) => ({ key: `garbage-${n}`, value }));

function approvalOfNothing(): Message {
  const head = { id: 'a', revision: 41, match: { sha256: ['5'.repeat(64)] }, effect: 'allow' as const };
  const tail = { scope: { workload: '*' }, reason: 'r', author: 'ann', created_at: new Date().toISOString() };
  const approval = { ...head, ...tail, expires_at: null };
  const record: PolicyRecord = { kind: 'approval', revision: 41, deleted: false, approval };
  return { key: 'approval:a', value: Buffer.from(JSON.stringify(record)) };
}

/** One by one where they are large: a bus takes only so much at once. */
async function publish(bus: Bus, topic: string, messages: readonly Message[]): Promise<void> {
  for (let from = 0; from < messages.length; ) {
    let to = from + 1;
    while (to < messages.length && to - from < 100 && messages[to]!.value.length < 10_000) to += 1;
    await bus.publish(topic, messages.slice(from, to));
    from = to;
  }
}

async function sendHalf(bus: Bus, { events, badFindings }: Sent, half: 0 | 1): Promise<void> {
  const halfOf = <T>(all: readonly T[]): readonly T[] => {
    const middle = Math.ceil(all.length / 2);
    return half === 0 ? all.slice(0, middle) : all.slice(middle);
  };
  await publish(
    bus,
    TOPICS.findings,
    halfOf(badFindings).map(({ name, value }) => ({ key: name, value })),
  );
  await publish(bus, TOPICS.events, halfOf(events));
}

async function startStages(t: TestContext, bus: Bus, store: TestStore['store']) {
  const metrics = createMetrics('');
  const receiver = await startSlackReceiver({ minIntervalMs: 0 });
  t.after(() => receiver.close());
  const common = { bus, log, metrics };
  const ingest = createIngest({ ...common, store });
  const detect = await createDetect(common);
  const notify = await createNotify({
    ...{ ...common, webhookUrl: receiver.url, intervalMs: 1, apiUrl: 'http://127.0.0.1:7070', tokenPath: '/token' },
  });
  const parts = [ingest, detect, notify];
  const failed = Promise.race(parts.map(({ done }) => done));
  failed.catch(() => {});
  const close = async (): Promise<void> => {
    await Promise.all(parts.map((part) => part.close()));
    await Promise.all(parts.map((part) => part.done));
  };
  return { metrics, notify, failed, close };
}

type Stages = Awaited<ReturnType<typeof startStages>>;

/** Resolves when everything was read and told; rejects with the error that ended a stage. */
async function settled(bus: Bus, { notify, failed }: Stages): Promise<void> {
  const groups = [
    [TOPICS.events, 'ingest'],
    [TOPICS.events, 'detect'],
    [TOPICS.findings, 'ingest-findings'],
    [TOPICS.findings, 'notify'],
  ] as const;
  const rest = async (): Promise<void> => {
    for (const [topic, group] of groups) while ((await bus.lag(topic, group)).records > 0) await delay(20);
    while (notify.status().waiting > 0) await delay(20);
  };
  await Promise.race([rest(), failed]);
}

/** What detect makes of the good messages: ids of findings, and of the groups they make. */
function expectedFindings({ goodEvents }: Sent) {
  const { out } = detect(goodEvents.map(decoded), createPolicyView(), createDetectState());
  const ids = out.map(({ finding }) => finding.finding_id).sort();
  return { ids, groups: new Set(out.map(({ finding }) => finding.group_id)).size };
}

/**
 * Ids of the findings on the bus that are none of ours. Where plans of several partitions are in hand at once, detect may
 * publish one more than once: its readers know it by its id.
 */
async function publishedFindings(bus: Bus, { badFindings }: Sent): Promise<string[]> {
  const bad = new Set(badFindings.map(({ value }) => sha256Of(value)));
  const good = (await recordsOf(bus, TOPICS.findings)).filter(({ value }) => !bad.has(sha256Of(value)));
  return good.map(({ value }): string => JSON.parse(Buffer.from(value).toString()).finding_id).sort();
}

async function assertStored(store: TestStore['store'], sent: Sent, published: readonly string[]): Promise<void> {
  const tables = ['exec_events', 'exit_events', 'digest_events', 'batches'];
  const [rows] = await store.query(
    `SELECT ${tables.map((table) => `(SELECT toUInt32(count()) FROM ${table}) AS ${table}`).join(', ')}`,
  );
  const { execs, exits, late, messages } = sent.account;
  assert.deepEqual(rows, { exec_events: execs, exit_events: exits, digest_events: late, batches: messages });
  const stored = await store.query<{ id: string }>(
    'SELECT lower(hex(finding_id)) AS id FROM finding_evidence ORDER BY id',
  );
  const { ids } = expectedFindings(sent);
  assert.ok(ids.length > 10, `${ids.length} findings`);
  assert.deepEqual([...new Set(published)], ids);
  assert.deepEqual(
    stored.map(({ id }) => id),
    published,
  );
}

async function assertDead(bus: Bus, { badEvents, badFindings }: Sent): Promise<void> {
  const { letters, unreadable } = await readLetters(bus, () => true);
  const found = [...letters.values()];
  const names = new Map([...badEvents, ...badFindings].map(({ name, value }) => [sha256Of(value), name]));
  const shown = found.flatMap(({ topic, sha256, refusals }) =>
    refusals.map(({ stage, reason }) => `${topic}, ${names.get(sha256)}: ${reason} by ${stage}`),
  );
  const wanted = [
    ...badEvents.map(({ name, reason }) => `${TOPICS.events}, ${name}: ${reason} by ingest`),
    ...badFindings.flatMap(({ name, reason }) => [
      `${TOPICS.findings}, ${name}: ${reason} by ingest-findings`,
      `${TOPICS.findings}, ${name}: not_a_finding by notify`,
    ]),
  ];
  assert.deepEqual(shown.sort(), wanted.sort());
  assert.equal(unreadable, 0);
  for (const topic of [TOPICS.events, TOPICS.findings]) {
    const records = await recordsOf(bus, topic);
    for (const letter of found.filter((each) => each.topic === topic)) {
      const same = ({ offset, key, value }: BusRecord) =>
        offset === letter.offset && key === letter.key && Buffer.compare(value, letter.bytes!) === 0;
      assert.ok(records.some(same), `${letter.id} is the record that was refused`);
    }
  }
}

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function recordsOf(bus: Bus, topic: string): Promise<BusRecord[]> {
  const records: BusRecord[] = [];
  await (await bus.follow(topic, (some) => void records.push(...some))).close();
  return records;
}

async function assertCounted(metrics: Metrics, sent: Sent, published: readonly string[]): Promise<void> {
  const { body } = await metrics.text();
  const value = (series: string) =>
    Number(
      body
        .split('\n')
        .find((line) => line.startsWith(`${series} `))
        ?.split(' ')[1],
    );
  const stage = (kind: string, name: string, topic: string) =>
    value(`stage_${kind}_total{stage="${name}",topic="${topic}"}`);
  const [events, bad, badFindings] = [sent.events.length, sent.badEvents.length, sent.badFindings.length];
  const { groups } = expectedFindings(sent);
  const findings = published.length;
  const counted = {
    ingest: ['in', 'dead'].map((kind) => stage(kind, 'ingest', TOPICS.events)),
    detect: ['in', 'out', 'dead'].map((kind) => stage(kind, 'detect', TOPICS.events)),
    findings: ['in', 'out', 'dead'].map((kind) => stage(kind, 'ingest-findings', TOPICS.findings)),
    notify: ['in', 'dead'].map((kind) => stage(kind, 'notify', TOPICS.findings)),
    repeats: value('ingest_repeats_total'),
    undecodable: value('detect_undecodable_total'),
    invalidPolicy: value('detect_invalid_policy_total'),
    policyRevision: value('detect_policy_revision'),
    deliveries: value(`notify_unreadable_total{topic="${TOPICS.deliveries}"}`),
    told: value('notify_groups_sent_total'),
  };
  assert.deepEqual(counted, {
    ingest: [events, bad],
    detect: [events, findings, 0],
    findings: [findings + badFindings, findings, badFindings],
    notify: [findings + badFindings, badFindings],
    repeats: 0,
    // One decodes: what it stands for is too large to store, not to judge.
    undecodable: bad - 1,
    invalidPolicy: 2 * GARBAGE.length,
    policyRevision: 41,
    deliveries: GARBAGE.length,
    told: groups,
  });
}
