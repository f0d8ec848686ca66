import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { approval } from '@bintrail/detect/events.kit.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { createPolicyPublisher, POLICY_TOPIC } from './policy-publisher.ts';

let folder: string;
let bus: Bus;
const log = createLog({ level: 'silent', name: 'test', write: () => {} });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bintrail-policy-'));
  // Without compaction every record published can be counted.
  bus = openSqliteBus({ path: join(folder, 'bus.db'), compactedTopics: [] });
});
afterEach(async () => {
  await bus.close();
  rmSync(folder, { recursive: true });
});

const record = (id: string, revision: number) => approval({ id }, revision);

async function published(): Promise<string[]> {
  const found: string[] = [];
  const follower = await bus.follow(POLICY_TOPIC, (records) => {
    for (const { key, value } of records) found.push(`${key} ${JSON.parse(Buffer.from(value).toString()).revision}`);
  });
  await follower.close();
  return found;
}

describe('the policy publisher', () => {
  it('puts records under the key of what they are about', async () => {
    const publisher = createPolicyPublisher(bus, log);
    const action = { kind: 'action', revision: 1, finding_id: 'f', action: 'resolve', episode: 1 } as const;
    await publisher.publish([record('a', 1), { ...action, at: new Date().toISOString() }]);
    assert.deepEqual(await published(), ['approval:a 1', 'finding:f 1']);
    await publisher.close();
  });

  it('publishes what the topic lacks, once', async () => {
    const publisher = createPolicyPublisher(bus, log);
    await publisher.publish([record('a', 1), record('b', 2)]);
    const all = [record('a', 3), record('b', 2), record('c', 4)];
    await publisher.publishMissing(all);
    await publisher.publishMissing(all);
    assert.deepEqual(await published(), ['approval:a 1', 'approval:b 2', 'approval:a 3', 'approval:c 4']);
    await publisher.close();
  });

  it('keeps what the bus does not take, and sends it later, in order and once', async () => {
    let isDown = true;
    const shaky: Bus = {
      ...bus,
      publish: (topic, messages) =>
        isDown ? Promise.reject(new Transient('disk full')) : bus.publish(topic, messages),
    };
    const publisher = createPolicyPublisher(shaky, log);
    await publisher.publish([record('a', 1)]);
    await publisher.publish([record('a', 2)]);
    assert.equal(publisher.waiting(), 2);
    isDown = false;
    await publisher.publish([record('b', 3)]);
    assert.equal(publisher.waiting(), 0);
    assert.deepEqual(await published(), ['approval:a 1', 'approval:a 2', 'approval:b 3']);
    await publisher.close();
  });

  it('tries again by itself', async () => {
    const taken = Promise.withResolvers<void>();
    let tries = 0;
    const shaky: Bus = {
      ...bus,
      async publish(topic, messages) {
        tries += 1;
        if (tries === 1) throw new Transient('busy');
        await bus.publish(topic, messages);
        taken.resolve();
      },
    };
    const publisher = createPolicyPublisher(shaky, log);
    await publisher.publish([record('a', 1)]);
    await taken.promise;
    assert.deepEqual(await published(), ['approval:a 1']);
    await publisher.close();
  });

  it('fails for what is no fault of the bus', async () => {
    const broken: Bus = { ...bus, publish: () => Promise.reject(new TypeError('bug')) };
    await assert.rejects(createPolicyPublisher(broken, log).publish([record('a', 1)]), TypeError);
  });
});
