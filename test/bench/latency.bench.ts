/** From an exec to its row, and from the first exec of a new program to its Slack message. */
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { type Bintrail, startBintrail } from '../src/e2e/bintrail.ts';
import { whyNotHere } from '../src/kernel/probe-kit.ts';
import { startSlackReceiver } from '../src/slack-receiver.ts';
import type { Aim, Bench, Figure } from './bench.ts';
import { type Hops, watchHops } from './hops.ts';
import { buildPrograms } from './programs.ts';
import { quantile, single, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const SECONDS = 30;
const EXECS_A_SECOND = 5;
/** Slack takes one message a second. */
const NEW_PROGRAM_EVERY = 6;
const POLL_MS = 10;
const LATEST_MS = 10_000;

const execute = promisify(execFile);

/** When something happened and when it was seen, milliseconds since the epoch. */
type Sighting = { readonly name: string; readonly atMs: number; readonly planMs: number; readonly seenMs: number };

type Told = { readonly text: string; readonly seenMs: number };

async function run(): Promise<Figure[]> {
  const folder = tempFolder('latency');
  // The bus in it is opened as its owner, who must get there.
  chmodSync(folder, 0o711);
  const programFolder = tempFolder('latency-programs', '/var/tmp');
  const programs = await buildPrograms(programFolder);
  const { store, engine, close } = await openTestStore();
  const messages: Told[] = [];
  const slack = await startSlackReceiver({
    minIntervalMs: 0,
    onMessage: (message) => messages.push({ text: JSON.stringify(message), seenMs: Date.now() }),
  });
  const url = engine.url.replace('//', `//${engine.username}:${engine.password}@`);
  const bintrail = await startBintrail(join(folder, 'home'), {
    CLICKHOUSE_URL: `${url}/${engine.database}`,
    SLACK_WEBHOOK_URL: slack.url,
  });
  const hops = await watchHops(join(folder, 'home', 'bus.db'), programFolder);
  await approveOthers(bintrail);
  await quiet(messages);
  const stopWatching = new AbortController();
  const watching = watchRows(store, programFolder, stopWatching.signal);
  const driven = await drive(programs.variant, programs.noop, store, slack.url);
  await delay(LATEST_MS);
  stopWatching.abort();
  const rows = await watching;
  await hops.close();
  await bintrail.stop();
  await slack.close();
  await close();
  return [...figures(rows, driven, messages), ...hopFigures(rows, driven, messages, hops)];
}

/** Other work on this machine builds programs below /tmp: Slack's one message a second is left to those of the bench. */
async function approveOthers(bintrail: Bintrail): Promise<void> {
  for (const workload of ['host', 'session/*', 'systemd/*', 'container/*']) {
    const reason = 'not part of the bench';
    const approval = { match: { path: `${tmpdir()}/*` }, effect: 'allow', scope: { workload }, reason };
    const { status, text } = await bintrail.send('POST', '/v1/approvals', approval);
    if (status !== 201) throw new Error(text);
  }
}

/** Waits until everything that ran before and at the start has been told. */
async function quiet(messages: readonly unknown[]): Promise<void> {
  for (let before = -1; before !== messages.length; ) {
    before = messages.length;
    await delay(3_000);
  }
}

type Driven = {
  /** SHA-256 of each new program, by its path. */
  readonly digests: ReadonlyMap<string, string>;
  /** Milliseconds that a post straight to the receiver took. */
  readonly posts: readonly number[];
};

/** A light load: one known program, now and then a new one; and beside it rows and messages that take no detour. */
async function drive(variant: (name: string) => string, noop: string, store: Store, slackUrl: string): Promise<Driven> {
  const digests = new Map<string, string>();
  const posts: number[] = [];
  for (let turn = 0; turn < SECONDS * EXECS_A_SECOND; turn++) {
    const isNew = turn % NEW_PROGRAM_EVERY === 0;
    const path = isNew ? variant(`new-${turn}-${randomUUID()}`) : noop;
    if (isNew) digests.set(path, createHash('sha256').update(readFileSync(path)).digest('hex'));
    await execute(path, [String(turn)]);
    if (turn % NEW_PROGRAM_EVERY === 3) {
      await store.insertRows('exec_events', [
        { path: `${noop}-direct`, argv: `${turn}`, ts: nowText(), ingested_at: nowText() },
      ]);
      posts.push(await postDirectly(slackUrl));
    }
    await delay(1_000 / EXECS_A_SECOND);
  }
  return { digests, posts };
}

const nowText = () => new Date().toISOString();

async function postDirectly(url: string): Promise<number> {
  const beganMs = performance.now();
  const headers = { 'content-type': 'application/json' };
  await fetch(url, { method: 'POST', headers, body: JSON.stringify({ text: 'straight' }) });
  return performance.now() - beganMs;
}

/** Looks every few milliseconds which rows of this folder's programs are new. */
async function watchRows(store: Store, folder: string, signal: AbortSignal): Promise<Sighting[]> {
  const seen = new Map<string, Sighting>();
  const sql = `SELECT path, hex(argv) AS words, toString(toUnixTimestamp64Milli(ts)) AS at_ms,
    toString(toUnixTimestamp64Milli(ingested_at)) AS plan_ms FROM exec_events WHERE startsWith(path, {folder:String})`;
  while (!signal.aborted) {
    const rows = await store.query<Record<'path' | 'words' | 'at_ms' | 'plan_ms', string>>(sql, { folder });
    const seenMs = Date.now();
    for (const { path, words, at_ms, plan_ms } of rows) {
      const key = `${path} ${words}`;
      if (!seen.has(key)) seen.set(key, { name: path, atMs: Number(at_ms), planMs: Number(plan_ms), seenMs });
    }
    await delay(POLL_MS);
  }
  return [...seen.values()];
}

function figures(rows: readonly Sighting[], { digests, posts }: Driven, messages: readonly Told[]): Figure[] {
  const tookMs = (which: readonly Sighting[]) => which.map(({ atMs, seenMs }) => seenMs - atMs);
  const direct = tookMs(rows.filter(({ name }) => name.endsWith('-direct')));
  const execs = rows.filter(({ name }) => !name.endsWith('-direct'));
  const told: number[] = [];
  for (const { name, atMs } of execs) {
    const message = messages.find(({ text }) => digests.has(name) && text.includes(digests.get(name)!));
    if (message !== undefined) told.push(message.seenMs - atMs);
  }
  if (told.length < digests.size) throw new Error(`only ${told.length} of ${digests.size} new programs were told`);
  return [
    ...percentiles('exec → row', tookMs(execs), { what: 'a row inserted directly', values: direct }, 1_000),
    ...percentiles('exec → Slack', told, { what: 'a message posted directly', values: posts }, 2_000),
  ];
}

/** Where the time of new programs goes: from each stage to the next. */
function hopFigures(rows: readonly Sighting[], { digests }: Driven, messages: readonly Told[], hops: Hops): Figure[] {
  const fresh = rows.filter(({ name }) => digests.has(name));
  const step = (
    what: string,
    from: (row: Sighting) => number | undefined,
    to: (row: Sighting) => number | undefined,
  ) => {
    const values = fresh.flatMap((row) => {
      const [begin, end] = [from(row), to(row)];
      return begin === undefined || end === undefined ? [] : [end - begin];
    });
    return {
      what,
      unit: 'ms',
      value: summarize(values),
      baseline: { what: 'the longest', value: single(Math.max(...values), values.length) },
    };
  };
  const published = ({ name }: Sighting) => hops.published.get(name);
  const found = ({ name }: Sighting) => hops.found.get(name);
  const planned = ({ name }: Sighting) => hops.planned.get(name);
  const told = ({ name }: Sighting) => messages.find(({ text }) => text.includes(digests.get(name)!))?.seenMs;
  const others = messages.filter(({ text }) => ![...digests.values()].some((digest) => text.includes(digest)));
  return [
    step('a new program: exec → bus', ({ atMs }) => atMs, published),
    step('bus → plan of ingest', published, ({ planMs }) => planMs),
    step(
      'plan → row visible',
      ({ planMs }) => planMs,
      ({ seenMs }) => seenMs,
    ),
    step('bus → finding', published, found),
    step(`finding → its turn to be posted (${others.length} messages were about other programs)`, found, planned),
    step('its turn → Slack', planned, told),
  ];
}

function percentiles(
  what: string,
  values: readonly number[],
  baseline: { readonly what: string; readonly values: readonly number[] },
  aimMs: number,
): Figure[] {
  const aim: Aim = { of: 'value', op: '≤', value: aimMs };
  const figure = (name: string, q: number) => {
    const [value, beside] = [quantile(values, q), quantile(baseline.values, q)];
    const compared = {
      what: baseline.what,
      value: q === 0.5 ? summarize(baseline.values) : single(beside, baseline.values.length),
    };
    return { what: `${what}, ${name}`, unit: 'ms', baseline: compared, ratio: single(value / beside) };
  };
  return [
    { ...figure('median', 0.5), value: summarize(values) },
    {
      ...figure('99th percentile', 0.99),
      value: single(quantile(values, 0.99), values.length),
      aim,
      whyMissed: WHY_MISSED,
    },
  ];
}

const WHY_MISSED =
  'the probe gathers rows for up to 500 ms, and what arrives during an insert waits for the next; a busy machine adds to both.';

export const bench: Bench = {
  name: 'latency',
  title: 'Latency',
  method:
    `The whole of Bintrail as standalone, ${EXECS_A_SECOND} execs a second for ${SECONDS} s, every ${NEW_PROGRAM_EVERY}th of a ` +
    `new program; from the kernel's time of the exec until a query shows the row (asked every ${POLL_MS} ms) and until ` +
    'the Slack-like receiver has the message. In between, by the times of the records on the bus. Programs below /tmp are approved: they are other work of this machine. The engine is the embedded one, started beside so that it can be asked.',
  whyNotHere,
  run,
};
