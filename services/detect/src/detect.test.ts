import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics, type Metrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { findingSchema } from '@bintrail/schemas/finding.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { createDetect, type Detect } from './detect.ts';
import {
  action,
  approval,
  digestMessage,
  digestRow,
  execMessage,
  execRow,
  PENDING,
  sha256Of,
  T0_MS,
  T0_NS,
} from './events.kit.ts';

let folder: string;
let bus: Bus;
let metrics: Metrics;
let running: Detect[];
let lines: { msg: string; level: string; rule?: string }[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'detect-'));
  bus = openSqliteBus({ path: join(folder, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  running = [];
  lines = [];
});

afterEach(async () => {
  for (const detect of running) await detect.close();
  await bus.close();
  rmSync(folder, { recursive: true });
});

async function start(on: Bus = bus): Promise<Detect> {
  metrics = createMetrics();
  const log = createLog({ level: 'info', name: 'test', write: (line) => lines.push(JSON.parse(line)) });
  const detect = await createDetect({ bus: on, log, metrics, backoff: { baseMs: 1, capMs: 5 } });
  running.push(detect);
  return detect;
}

const send = (...values: Uint8Array[]) =>
  bus.publish(
    TOPICS.events,
    values.map((value) => ({ key: 'node-a', value })),
  );

async function decide(...records: PolicyRecord[]): Promise<void> {
  const keyOf = (r: PolicyRecord) => (r.kind === 'approval' ? `approval:${r.approval.id}` : `finding:${r.finding_id}`);
  const messages = records.map((record) => ({ key: keyOf(record), value: Buffer.from(JSON.stringify(record)) }));
  await bus.publish(TOPICS.policy, messages);
}

/** Waits until detect has taken everything in, and returns all findings published so far. */
async function published() {
  while ((await bus.lag(TOPICS.events, 'detect')).records > 0) await delay(1);
  const found: { key: string; finding: ReturnType<typeof findingSchema.parse> }[] = [];
  const follower = await bus.follow(TOPICS.findings, (records) => {
    for (const { key, value } of records) {
      found.push({ key, finding: findingSchema.parse(JSON.parse(Buffer.from(value).toString())) });
    }
  });
  await follower.close();
  return found;
}

async function metric(name: string): Promise<number | undefined> {
  const line = (await metrics.text()).body.split('\n').find((text) => text.startsWith(`bintrail_${name} `));
  return line === undefined ? undefined : Number(line.split(' ')[1]);
}

async function policyKnown(revision: number): Promise<void> {
  while ((await metric('detect_policy_revision')) !== revision) await delay(1);
}

const exec = (pid: number, offsetMs = 0) => execMessage(execRow(pid, 1, { ts: T0_NS + BigInt(offsetMs) * 1_000_000n }));

describe('detect on the bus', () => {
  it('publishes a finding once, by its group, stamped with the policy it was judged by', async () => {
    await decide(approval({ id: 'ap_7', match: { path: '/x' }, scope: { workload: 'host' } }, 7));
    await start();
    await send(exec(10), exec(11));
    await send(exec(12));
    const found = await published();
    assert.equal(found.length, 1);
    assert.equal(found[0]!.key, found[0]!.finding.group_id);
    assert.equal(found[0]!.finding.policy_revision, 7);
    assert.deepEqual(
      lines.map(({ msg, rule }) => [msg, rule]),
      [['finding', 'unapproved-binary']],
    );
  });

  it('publishes no more at a time than a bus takes, and leaves out what is absurdly long', async () => {
    const sizes: number[] = [];
    const publish: Bus['publish'] = async (topic, messages) => {
      sizes.push(messages.reduce((sum, { value }) => sum + value.length, 0));
      await bus.publish(topic, messages);
    };
    await start({ ...bus, publish });
    const long = (pid: number, part: object) => execMessage(execRow(pid, 1, { sha256: sha256Of(`${pid}`), ...part }));
    const argv = 'x'.repeat(1_100_000);
    await send(long(1, { argv }), long(2, { argv: `${argv}x` }), long(3, { path: `/${argv}` }));
    for (let pid = 4; pid < 9; pid += 1) await send(long(pid, { argv: 'x'.repeat(300_000) }));
    const found = await published();
    assert.ok(sizes.length > 0 && sizes.every((size) => size <= 1024 * 1024), `${sizes}`);
    const flags = new Map(found.map(({ finding: { sha256, evidence } }) => [sha256[0], evidence.flags]));
    assert.deepEqual([...flags.keys()].sort(), ['1', '2', '4', '5', '6', '7', '8']);
    assert.ok(flags.get('1')!.includes('truncated_argv') && !flags.get('4')!.includes('truncated_argv'));
    assert.equal(await metric('detect_too_large_total'), 1);
  });

  it('knows the whole policy before it judges the first event', async () => {
    await decide(
      ...Array.from({ length: 300 }, (_, i) => approval({ id: `ap_${i}`, match: { path: `/x${i}` } }, i + 1)),
    );
    await decide(approval({ id: 'last' }, 400));
    await send(exec(10));
    await start();
    assert.deepEqual(await published(), []);
    assert.equal(await metric('detect_judged_total'), 1);
  });

  it('follows approvals and resolutions while it runs', async () => {
    await start();
    await send(exec(10));
    const [{ finding } = assert.fail('nothing found')] = await published();
    await decide(action(finding.finding_id, 'resolve', 1, T0_MS + 10), approval({ id: 'ap_1' }, 2));
    await policyKnown(2);
    await send(exec(11, 20));
    assert.equal((await published()).length, 1, 'approved');
    await decide(approval({ id: 'ap_1' }, 3, true));
    await policyKnown(3);
    await send(exec(12, 30), exec(13, 40));
    const found = await published();
    assert.deepEqual(
      found.map(({ finding: { finding_id: id } }) => id),
      [finding.finding_id, finding.finding_id],
    );
  });

  it('judges a late digest, with the arguments of the exec that left before it', async () => {
    await start();
    await send(execMessage(execRow(10, 1, PENDING)));
    assert.deepEqual(await published(), []);
    await send(digestMessage(digestRow(10)));
    const [{ finding } = assert.fail('nothing found')] = await published();
    assert.deepEqual(finding.evidence.exec.argv, ['/opt/a', '-v']);
  });

  it('leaves out what it cannot read, and leaves the dead letter to ingest', async () => {
    await decide(approval({ match: { sha256: ['b'.repeat(64)] } }, 1));
    await bus.publish(TOPICS.policy, [{ key: 'approval:x', value: Buffer.from('{"kind":"approval"') }]);
    await start();
    await send(Buffer.from('no message'), exec(10), exec(11).subarray(0, 40));
    assert.equal((await published()).length, 1);
    assert.equal(await metric('detect_undecodable_total'), 2);
    assert.equal(await metric('detect_invalid_policy_total'), 1);
    const dead: unknown[] = [];
    await (await bus.follow(TOPICS.dead, (records) => void dead.push(...records))).close();
    assert.deepEqual(dead, []);
  });

  it('loses nothing and repeats nothing when the findings cannot be published at first', async () => {
    let refusals = 3;
    const publish: Bus['publish'] = async (topic, messages) => {
      if (topic === TOPICS.findings && refusals-- > 0) throw new Transient('the bus is full');
      await bus.publish(topic, messages);
    };
    await start({ ...bus, publish });
    await send(exec(10), execMessage(execRow(11, 1, { sha256: sha256Of('b') })));
    assert.equal((await published()).length, 2);
    assert.ok(refusals < 0);
  });

  it('takes up after a restart where it stopped; what it publishes again has the same id', async () => {
    const first = await start();
    await send(exec(10));
    const [before] = await published();
    await first.close();
    await first.done;
    await send(execMessage(execRow(11, 1, { sha256: sha256Of('b') })));
    await start();
    assert.equal((await published()).length, 2);
    await send(exec(12));
    const again = (await published())[2];
    assert.deepEqual([again!.key, again!.finding.finding_id], [before!.key, before!.finding.finding_id]);
  });

  it('ends with the error when the bus breaks', async () => {
    const broken = new Error('disk on fire');
    const publish: Bus['publish'] = async () => {
      throw broken;
    };
    const detect = await start({ ...bus, publish });
    const ended = assert.rejects(detect.done, broken);
    await send(exec(10));
    await ended;
  });
});
