import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { SetupError, Transient } from '@bintrail/runtime/errors.ts';
import { byteString, map, textString, uint } from '@bintrail/schemas/cbor-build.fixture.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { parseCommand, UsageError } from './arguments.ts';
import { dead, newFolder, openBusIn, putAside, recordsOf, run } from './dead.fixture.ts';

const HOUR_MS = 3_600_000;
const finding = { topic: TOPICS.findings, reason: 'not_a_finding', bytes: Buffer.from('{"v":7}') };
const idsOf = (out: string): string[] => out.split('\n').flatMap((line) => line.match(/bintrail\.\w+:\d+:\d+/) ?? []);

/** What version 0.1 wrote. */
function withoutKey(offset: number) {
  const { reason, stage, topic, partition, bytes } = dead(offset);
  const value = map([
    ['reason', textString(reason)],
    ['stage', textString(stage)],
    ['topic', textString(topic)],
    ['partition', uint(partition)],
    ['offset', uint(offset)],
    ['bytes', byteString(bytes)],
  ]);
  return { key: `${topic}:0:${offset}`, value };
}

describe('list', () => {
  it('shows one letter for each record, whichever stages refused it and however often', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(7), dead(7));
    await putAside(bus, dead(3, { ...finding, stage: 'notify' }), dead(3, { ...finding, stage: 'ingest-findings' }));
    const { out, notes } = await run(bus, 'list');
    assert.match(out, /^REFUSED +ID +STAGE +REASON +BYTES +REPLAYED\n/);
    assert.match(out, /\n\d{4}-[\dT:.-]+Z +bintrail\.events:0:7 +ingest +wrong_type +12 +-\n/);
    assert.match(out, /Z +bintrail\.findings:0:3 +notify,ingest-findings +not_a_finding +7 +-\n$/);
    assert.equal(out.trimEnd().split('\n').length, 3);
    assert.deepEqual(notes, []);
  });

  it('takes those that one refusal of theirs makes pass all filters', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(1), dead(2, { reason: 'truncated' }), dead(3, { ...finding, stage: 'notify' }));
    await putAside(bus, dead(3, { ...finding, stage: 'ingest-findings', reason: 'not_json' }));
    const chosen = async (filter: string, nowMs?: number) => idsOf((await run(bus, `list ${filter}`, nowMs)).out);
    assert.deepEqual(await chosen('--stage ingest'), ['bintrail.events:0:1', 'bintrail.events:0:2']);
    assert.deepEqual(await chosen('--reason truncated'), ['bintrail.events:0:2']);
    assert.deepEqual(await chosen('--topic bintrail.findings'), ['bintrail.findings:0:3']);
    assert.deepEqual(await chosen('--stage notify --reason not_a_finding'), ['bintrail.findings:0:3']);
    assert.deepEqual(await chosen('--stage notify --reason not_json'), []);
    assert.equal((await chosen('--since 1h')).length, 3);
    assert.equal((await chosen('--since 1h', Date.now() + 2 * HOUR_MS)).length, 0);
    assert.equal((await chosen(`--since ${new Date(Date.now() - HOUR_MS).toISOString()}`)).length, 3);
  });

  it('says what is not there, and what is there and no dead letter', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    assert.deepEqual(await run(bus, 'list'), { out: '', notes: ['There are no dead letters.'] });
    const garbage = [
      Buffer.alloc(0),
      Buffer.from('{}'),
      Buffer.alloc(100_000, 0x81),
      Buffer.of(0xa1, 0x61, 0x61, 0x01),
    ];
    await bus.publish(
      TOPICS.dead,
      garbage.map((value) => ({ key: 'x', value })),
    );
    await putAside(bus, dead(1));
    const { out, notes } = await run(bus, 'list --stage detect');
    assert.equal(out, '');
    assert.deepEqual(notes, ['None of 1 dead letters is meant.', '4 records of the topic are no dead letters.']);
  });

  it('writes one JSON object a line with --json', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(1), dead(2), dead(1));
    await run(bus, 'replay bintrail.events:0:1', 0);
    const [first, second] = (await run(bus, 'list --json')).out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { refusals, sha256, ...facts } = first;
    assert.deepEqual(facts, {
      ...{ id: 'bintrail.events:0:1', topic: TOPICS.events, partition: 0, offset: 1, key: 'node-1' },
      ...{ size_bytes: 12, replayed_at: ['1970-01-01T00:00:00.000Z'] },
    });
    assert.equal(refusals.length, 1, 'a stage that comes to a record again after a crash refuses it once');
    assert.deepEqual([refusals[0].stage, refusals[0].reason], ['ingest', 'wrong_type']);
    assert.match(sha256, /^[\da-f]{64}$/);
    assert.deepEqual(second.replayed_at, []);
  });

  it('takes a topic that was made anew for what it is', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(1));
    await run(bus, 'replay --all');
    await putAside(bus, dead(1, { bytes: Buffer.from('something else') }));
    assert.match((await run(bus, 'list')).out, /:0:1 +ingest +wrong_type +14 +-\n/);
  });
});

describe('replay', () => {
  it('publishes the very bytes under their key to where they came from, once for all', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(9), dead(4), dead(5, { ...finding, key: 'group' }), dead(6, { reason: 'truncated' }));
    const { notes } = await run(bus, 'replay --all --reason wrong_type');
    assert.deepEqual(notes, [
      'bintrail.events:0:4 published again',
      'bintrail.events:0:9 published again',
      '2 of 2 replayed',
    ]);
    await run(bus, 'replay --all');
    assert.deepEqual((await run(bus, 'replay --all')).notes.at(-1), '0 of 0 replayed');
    const [events, findings] = [await recordsOf(bus, TOPICS.events), await recordsOf(bus, TOPICS.findings)];
    assert.deepEqual(
      events.map(({ key, value }) => [key, Buffer.from(value).toString()]),
      [4, 9, 6].map((offset) => [`node-${offset}`, `no message ${offset}`]),
    );
    assert.deepEqual(
      findings.map(({ key, value }) => [key, Buffer.from(value).toString()]),
      [['group', '{"v":7}']],
    );
    assert.doesNotMatch((await run(bus, 'list')).out, /-$/m);
  });

  it('repeats those that are named, each once', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(1));
    const id = 'bintrail.events:0:1';
    await run(bus, `replay ${id} ${id}`);
    await run(bus, `replay ${id}`);
    assert.equal((await recordsOf(bus, TOPICS.events)).length, 2);
  });

  it('does nothing with --dry-run', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(1));
    const { notes } = await run(bus, 'replay --all --dry-run');
    assert.deepEqual(notes, ['bintrail.events:0:1 would be published again, key node-1']);
    assert.deepEqual(await recordsOf(bus, TOPICS.events), []);
    assert.match((await run(bus, 'list')).out, /-$/m);
  });

  it('leaves out what it cannot publish as it was', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await bus.publish(TOPICS.dead, [withoutKey(1)]);
    await putAside(bus, dead(2, { topic: TOPICS.policy }), dead(3, { topic: TOPICS.dead }), dead(4));
    const { notes } = await run(bus, 'replay --all');
    assert.deepEqual(notes, [
      'bintrail.dead:0:3 left out: no stage puts records of bintrail.dead aside',
      'bintrail.events:0:1 left out: put aside by a version that did not keep its key',
      'bintrail.policy:0:2 left out: no stage puts records of bintrail.policy aside',
      'bintrail.events:0:4 published again',
      '1 of 1 replayed',
    ]);
    await assert.rejects(run(bus, 'replay bintrail.events:0:1'), SetupError);
    assert.deepEqual(await recordsOf(bus, TOPICS.policy), []);
  });

  it('repeats what it did not come to note', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(1), dead(2));
    const publish: Bus['publish'] = async (topic, messages) => {
      if (topic === TOPICS.dead) throw new Transient('the bus is full');
      await bus.publish(topic, messages);
    };
    await assert.rejects(run({ ...bus, publish }, 'replay --all'), Transient);
    assert.equal((await run(bus, 'replay --all')).notes.at(-1), '2 of 2 replayed');
    assert.equal((await recordsOf(bus, TOPICS.events)).length, 4);
  });

  it('moves more than it would hold in memory at a time', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    const large = Buffer.alloc(20 * 1024 * 1024);
    for (let offset = 0; offset < 5; offset++) await putAside(bus, dead(offset, { bytes: large.fill(offset) }));
    let readings = 0;
    const follow: Bus['follow'] = (topic, handler) => {
      readings += 1;
      return bus.follow(topic, handler);
    };
    await run({ ...bus, follow }, 'replay --all');
    // To choose, then for three letters of 20 MiB, then for two: 64 MiB at a time.
    assert.equal(readings, 3);
    const records = await recordsOf(bus, TOPICS.events);
    assert.deepEqual(
      records.map(({ key, value }) => [key, value.length, value[1]]),
      [0, 1, 2, 3, 4].map((offset) => [`node-${offset}`, large.length, offset]),
    );
  });
});

describe('the command line', () => {
  it('refuses what it does not understand, and says what', () => {
    const faults: Record<string, RegExp> = {
      '': /unknown command/,
      burn: /unknown command: burn/,
      'list x': /'x'/,
      'list --all': /--all/,
      'list --since yesterday': /--since takes/,
      show: /one ID/,
      'show a:0:1 a:0:2': /one ID/,
      'show bintrail.events:0': /"bintrail.events:0" is no ID/,
      'show bintrail.events:0:-1': /no ID/,
      replay: /IDs, or --all/,
      'replay --all a:0:1': /IDs, or --all/,
      'replay a:0:1 --stage ingest': /go with --all/,
    };
    for (const [line, fault] of Object.entries(faults)) {
      const failed = (error: unknown) => error instanceof UsageError && fault.test(error.message);
      assert.throws(() => parseCommand(line.split(' '), 0), failed, line);
    }
  });

  it('names an id that is not there', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    for (const name of ['show', 'replay']) {
      await assert.rejects(run(bus, `${name} bintrail.events:0:9`), /no dead letter bintrail.events:0:9/);
    }
  });
});
