/**
 * A fleet's probes are upgraded before its ingest: the older one refuses the events it does not know. After its upgrade
 * they are replayed, and the store ends as if nothing had happened.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { batchGaps } from '@bintrail/ingest/gaps.ts';
import { createIngest, type Ingest } from '@bintrail/ingest/ingest.ts';
import type { TestStore } from '@bintrail/ingest/store.fixture.ts';
import { newLocation } from '@bintrail/runtime/bus.contract.kit.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics, type Metrics } from '@bintrail/runtime/metrics.ts';
import { type Pump, pump } from '@bintrail/runtime/pump.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { parseCommand } from '@bintrail/standalone/dead/arguments.ts';
import { runCommand } from '@bintrail/standalone/dead/commands.ts';
import { createFleet, type FleetAccount } from '../fleet/fleet.ts';
import type { DrilledBus } from './drilled-bus.ts';

const EXECS = 2_000;
const REPLAY = 'replay --all --stage ingest --reason unknown_event';
const log = createLog({ level: 'silent', name: 'replay' });

export async function drillReplay(t: TestContext, drilled: DrilledBus, store: TestStore['store'], seed: number) {
  const bus = await drilled.open(await newLocation());
  t.after(() => bus.close());
  const fleet = createFleet({ seed, nodes: 12, workloads: 8, startMs: Date.now() - 60_000, maxRows: 8 });
  await bus.publish(TOPICS.events, [...fleet.send(EXECS), ...fleet.finish()]);
  const account = fleet.account();

  const older = startOlderIngest(bus, store);
  await drained(bus, older).finally(older.close);
  assert.notDeepEqual(await stateOf(store), expectedOf(account));
  assert.notEqual((await gapsOf(store)).length, 0);

  const metrics = createMetrics('');
  const ingest = createIngest({ bus, store, log, metrics });
  await replayAll({ bus, store, account, ingest, metrics }).finally(ingest.close);
  await ingest.done;
}

type Upgraded = {
  readonly bus: Bus;
  readonly store: TestStore['store'];
  readonly account: FleetAccount;
  readonly ingest: Ingest;
  readonly metrics: Metrics;
};

async function replayAll({ bus, store, account, ingest, metrics }: Upgraded): Promise<void> {
  const refused = await replayed(bus, REPLAY);
  assert.ok(refused.length > 5, `${refused.length} messages`);
  await drained(bus, ingest);
  assert.deepEqual(await stateOf(store), expectedOf(account));
  assert.deepEqual(await gapsOf(store), []);

  // A second time there is nothing to do; and those an operator insists on change nothing.
  assert.deepEqual(await replayed(bus, REPLAY), []);
  assert.equal((await replayed(bus, `replay ${refused.join(' ')}`)).length, refused.length);
  await drained(bus, ingest);
  assert.match((await metrics.text()).body, new RegExp(`^ingest_repeats_total ${refused.length}$`, 'm'));
  assert.deepEqual({ ...(await stateOf(store)), batches: account.messages }, expectedOf(account));
  assert.deepEqual(await replayed(bus, 'replay --all'), []);
}

/** Ingest of a version that knew no event `digest`: those a probe sends when a file took long to hash. */
function startOlderIngest(bus: Bus, store: TestStore['store']): Pump {
  const storeEvents = createStoreEvents(store);
  const where = { topic: TOPICS.events, group: 'ingest', maxRecords: 4096, maxBytes: 8 * 1024 * 1024 };
  return pump({
    ...{ ...where, bus, log, metrics: createMetrics(''), stage: 'ingest', deadTopic: TOPICS.dead },
    async process(plan) {
      const isNew = ({ value }: { value: Uint8Array }) => {
        const decoded = decodeBatch(value);
        return decoded.ok && decoded.batch.type === 'digest';
      };
      const { rows } = await storeEvents({ ...plan, records: plan.records.filter((record) => !isNew(record)) });
      const dead = plan.records.filter(isNew).map(({ offset, key, value }) => ({
        ...{ stage: 'ingest', reason: 'unknown_event', topic: plan.topic, partition: plan.partition },
        ...{ offset, key, bytes: value },
      }));
      return { in: plan.records.length, out: rows, dead };
    },
  });
}

/** Rejects with what ended the stage. */
async function drained(bus: Bus, { done }: { readonly done: Promise<void> }): Promise<void> {
  const rest = async (): Promise<void> => {
    while ((await bus.lag(TOPICS.events, 'ingest')).records > 0) await delay(20);
  };
  await Promise.race([rest(), done]);
}

/** Runs the operator's command, and returns the ids it published again. */
async function replayed(bus: Bus, line: string): Promise<string[]> {
  const ids: string[] = [];
  const note = (text: string): void => {
    const [, id] = /^(\S+) published again$/.exec(text) ?? [];
    if (id !== undefined) ids.push(id);
  };
  await runCommand(bus, parseCommand(line.split(' '), Date.now()), { note, out: () => {}, clock: Date.now });
  return ids;
}

async function stateOf(store: TestStore['store']) {
  const tables = ['exec_events', 'exit_events', 'digest_events', 'batches'];
  const counts = tables.map((table) => `(SELECT toUInt32(count()) FROM ${table}) AS ${table}`);
  const [rows] = await store.query<Record<string, number>>(`SELECT ${counts.join(', ')}`);
  const sightings = await store.query<{ workload: string; sha256: string; n: number }>(
    `SELECT workload, lower(hex(sha256)) AS sha256, toUInt32(sum(n)) AS n FROM sightings
     GROUP BY workload, sha256 HAVING n != 0`,
  );
  return { ...rows, sightings: sightings.map(({ workload, sha256, n }) => `${workload} ${sha256} ${n}`).sort() };
}

function expectedOf({ execs, exits, late, messages, sightings }: FleetAccount) {
  const seen = [...sightings].flatMap(([workload, digests]) =>
    [...digests].map(([sha256, n]) => `${workload} ${sha256} ${n}`),
  );
  return { exec_events: execs, exit_events: exits, digest_events: late, batches: messages, sightings: seen.sort() };
}

const gapsOf = (store: TestStore['store']) => batchGaps(store, { sinceMs: 0, untilMs: Date.now() + 86_400_000 });
