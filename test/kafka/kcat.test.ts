/** What we put on Kafka, read by programs that share nothing with ours: librdkafka's kcat, and Python's cbor2. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { newLocation } from '@bintrail/runtime/bus.contract.kit.ts';
import type { Message } from '@bintrail/runtime/bus.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { rebuild } from '@bintrail/schemas/foreign-reader.fixture.ts';
import { TOPICS, topicShapes } from '@bintrail/schemas/topics.ts';
import { rowsOf } from '@bintrail/standalone/replay-recording.ts';
import { Tagged } from 'cborg';
import { createFleet } from '../src/fleet/fleet.ts';
import { connectionOf } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';

const brokers = await kafkaForTests();
const log = createLog({ level: 'error', name: 'test' });
/** The system's own, which Debian's package belongs to, not one that a user brought along. */
const PYTHON = '/usr/bin/python3';
const SCRIPT = fileURLToPath(new URL('./cbor-to-json.py', import.meta.url));

const runs = (command: string, args: readonly string[]): boolean => spawnSync(command, args).status === 0;
const noKcat = runs('kcat', ['-V']) ? false : 'there is no kcat (Debian: kcat)';
const noCbor2 = runs(PYTHON, ['-c', 'import cbor2']) ? false : 'there is no cbor2 for Python (Debian: python3-cbor2)';

function kcat(...args: string[]): Buffer {
  const { status, stdout, stderr } = spawnSync('kcat', ['-b', brokers, ...args], { maxBuffer: 2 ** 28 });
  assert.equal(status, 0, `${stderr}`);
  return stdout;
}

const PARTITIONS = 3;
let prefix: string;
let sent: Message[];

before(async () => {
  const connection = connectionOf(await newLocation());
  prefix = connection.prefix;
  await ensureTopics(connection, topicShapes({ partitions: PARTITIONS, retentionMs: 3_600_000 }), log);
  const fleet = createFleet({ seed: 5, nodes: 20, workloads: 8, startMs: Date.now(), maxRows: 300 });
  sent = [...fleet.send(5_000), ...fleet.finish()];
  const bus = openKafkaBus({ connection, log });
  await Promise.all(sent.map((message) => bus.publish(TOPICS.events, [message])));
  await bus.close();
});

test('kcat lists the topics with their partitions', { skip: noKcat }, () => {
  const { topics } = JSON.parse(`${kcat('-L', '-J')}`) as { topics: { topic: string; partitions: unknown[] }[] };
  const ours = topics.filter(({ topic }) => topic.startsWith(prefix));
  assert.deepEqual(
    new Map(ours.map(({ topic, partitions }) => [topic.slice(prefix.length), partitions.length])),
    new Map(topicShapes({ partitions: PARTITIONS, retentionMs: 1 }).map(({ name, partitions }) => [name, partitions])),
  );
});

test('kcat reads every message of the events, compressed by us, under its key and with its bytes', {
  skip: noKcat,
}, () => {
  const printed = kcat('-C', '-t', prefix + TOPICS.events, '-e', '-q', '-f', '%k %S %s\n');
  const read: string[] = [];
  for (let at = 0; at < printed.length; ) {
    const [head, key, size] = /^(\S+) (\d+) /.exec(printed.toString('latin1', at, at + 200))!;
    const from = at + head.length;
    at = from + Number(size) + 1;
    read.push(`${key} ${printed.toString('base64', from, at - 1)}`);
  }
  const wanted = sent.map(({ key, value }) => `${key} ${Buffer.from(value).toString('base64')}`);
  assert.deepEqual(read.toSorted(), wanted.toSorted());
});

type Plain =
  | string
  | { bytes: string }
  | { int: string }
  | { tag: number; value: Plain }
  | { map: [Plain, Plain][] }
  | Plain[];

/** What cborg would have made of it, which `rebuild` goes on with. */
function revived(item: Plain): unknown {
  if (typeof item === 'string') return item;
  if (Array.isArray(item)) return item.map(revived);
  if ('bytes' in item) return new Uint8Array(Buffer.from(item.bytes, 'hex'));
  if ('tag' in item) return new Tagged(item.tag, revived(item.value));
  if ('map' in item) return new Map(item.map.map(([key, value]) => [revived(key), revived(value)]));
  const whole = BigInt(item.int);
  return whole > BigInt(Number.MAX_SAFE_INTEGER) ? whole : Number(whole);
}

test("a message read by kcat and decoded by Python's cbor2 has the rows that were sent", {
  skip: noKcat || noCbor2,
}, () => {
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const at = ['-p', `${partition}`, '-o', '3', '-c', '1', '-e', '-q'];
    const bytes = kcat('-C', '-t', prefix + TOPICS.events, ...at, '-D', '', '-f', '%s');
    const { status, stdout, stderr } = spawnSync(PYTHON, [SCRIPT], { input: bytes, maxBuffer: 2 ** 28 });
    assert.equal(status, 0, `${stderr}`);
    const message = revived(JSON.parse(`${stdout}`)) as Map<number, unknown>;
    const ours = decodeBatch(bytes);
    assert(ours.ok);
    const { columns: _, type, node, batchSeq, rows, ...rest } = ours.batch;
    const foreign = rebuild(message, EVENTS[type]);
    assert.deepEqual([foreign.header.type, foreign.header.node, foreign.header.boot], [type, node, rest.boot]);
    assert.deepEqual([Number(foreign.header.batch_seq), Number(foreign.header.rows)], [batchSeq, rows]);
    assert.deepEqual(foreign.rows, rowsOf(ours.batch));
    assert(sent.some(({ value }) => bytes.equals(value)));
  }
});
