/**
 * Kill drills on the real thing: parts die by -9 at random moments while programs run, and Bintrail starts again on the
 * same home. Afterwards the driver's journal, the bus, the store, the findings and Slack must tell the same story.
 *   BINTRAIL_DRILLS=30 BINTRAIL_SEED=1 node --test test/src/drills/*.test.ts
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, whyNotHere } from '../e2e/bintrail.ts';
import { type Bpffs, mountBpffs } from '../kernel/bpffs.ts';
import { run } from '../kernel/probe-kit.ts';
import { type SlackReceiver, startSlackReceiver } from '../slack-receiver.ts';
import { type Driver, startDriver, within } from './account.ts';
import { checkCensus, type DrillCensus, openForDrills } from './census-check.ts';
import { differences, disagreeingCounts, doubledExecs, namesInStore, namesOnBus } from './in-the-store.ts';
import { countRuns } from './kernel-count.ts';
import { takeFromBus } from './on-the-bus.ts';
import { describeDrill, planDrills, type Target } from './plan.ts';
import { type Aftermath, epochsOf, runDrills } from './run-drills.ts';
import { aliasOf, killNow, type Life, partsOn } from './system.ts';
import { toldAbout } from './told.ts';

const skip = whyNotHere() ?? false;
const DRILLS = Number(process.env.BINTRAIL_DRILLS ?? 3);
const SEED = Number(process.env.BINTRAIL_SEED ?? randomInt(2 ** 31));
const REPLAY = `BINTRAIL_DRILLS=${DRILLS} BINTRAIL_SEED=${SEED} node --test test/src/drills/drills.test.ts`;
const PROGRAMS = 100 + 25 * DRILLS;
/** The kill hit the probe itself: what it had not handed over is gone with it. */
const PROBE_DIES: ReadonlySet<Target> = new Set(['probe', 'everything']);

const folder = mkdtempSync(join(tmpdir(), 'bintrail-drills-'));
const home = join(folder, 'home');
let bpffs: Bpffs;
let census: DrillCensus;
let slack: SlackReceiver;
let driver: Driver;
let aftermath: Aftermath;

before(async () => {
  if (skip) return;
  console.log(`to replay: ${REPLAY}`);
  await takeFromBus(home);
  bpffs = await mountBpffs();
  census = openForDrills(bpffs.folder);
  slack = await startSlackReceiver();
  driver = await startDriver(join(folder, 'programs'), PROGRAMS);
  aftermath = await runDrills({
    drills: planDrills(SEED, DRILLS),
    home,
    driver,
    slackUrl: slack.url,
    censusFolder: bpffs.folder,
  });
});

after(async () => {
  const { life, store } = (aftermath as Aftermath | undefined) ?? {};
  await store?.close();
  const code = await life?.stop();
  await (driver as Driver | undefined)?.stop().catch(() => {});
  await (slack as SlackReceiver | undefined)?.close();
  const left = partsOn(home);
  for (const { pid } of left) killNow(pid);
  const mounted = mountsOf(aliasOf(home));
  (census as DrillCensus | undefined)?.close();
  await (bpffs as Bpffs | undefined)?.remove();
  for (const path of mounted) await run('umount', ['--lazy', path]);
  if (mounted.length > 0) await run('rmdir', [aliasOf(home)]);
  rmSync(folder, { recursive: true, force: true });
  if (skip || life === undefined) return;
  assert.equal(code, 0, life.output());
  assert.deepEqual(left, [], 'nothing is left running');
  assert.deepEqual(mounted, [], 'nothing is left mounted');
});

function mountsOf(path: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4]!)
    .filter((mountPoint) => mountPoint === path);
}

/** Fails with the way to see it again. */
function replayable(check: () => Promise<void>): () => Promise<void> {
  return async () => {
    try {
      await check();
    } catch (error) {
      console.error(`to replay: ${REPLAY}`);
      throw error;
    }
  };
}

// The drills themselves run within the first test.
const options = { skip, timeout: 120_000 + 30_000 * DRILLS };

test(
  'what the bus took is stored, each event once',
  options,
  replayable(async () => {
    const { batches, store } = aftermath;
    const onBus = namesOnBus(batches);
    const inStore = await namesInStore(store, epochsOf(batches), onBus.keys());
    for (const [type, names] of onBus) {
      const found = differences(names, inStore.get(type)!);
      assert.deepEqual(found, { missing: [], invented: [], doubled: [] }, type);
      assert.equal(inStore.get(type)!.length, names.length, type);
    }
    assert.deepEqual(await doubledExecs(store), [], 'an exec that two runs of the probe saw');
  }),
);

test(
  'no run of the probe left a hole in its messages',
  options,
  replayable(async () => {
    const { batches, life } = aftermath;
    const seqs = Map.groupBy(batches, ({ probeEpoch }) => probeEpoch);
    for (const [epoch, own] of seqs) {
      const numbers = own.map(({ batchSeq }) => batchSeq).sort((a, b) => a - b);
      assert.deepEqual(numbers, [...numbers.keys()], `probe of ${epoch}`);
    }
    const { json } = await life.call('GET', '/v1/coverage?since=now-2h');
    assert.equal(json.items.length, 1);
    assert.deepEqual(json.items[0].batch_gaps, { gaps: 0, messages: 0 });
    const [{ lost, gaps }] = json.items;
    assert.equal(lost, gaps.missed, 'lost is what nobody could see, and nothing else');
  }),
);

test(
  'a run of the probe that ended in order has a row for all that the kernel counted',
  options,
  replayable(async () => {
    const { killed, batches } = aftermath;
    const runs = countRuns(batches);
    const ofLastLife = runs.at(-1);
    for (const run of runs) {
      const life = killed.findLast(({ startedMs }) => startedMs <= run.epochMs);
      if (run !== ofLastLife && (life === undefined || PROBE_DIES.has(life.victim))) continue;
      const { rows, holes, sent, lost } = run;
      const what = run === ofLastLife ? 'no kill' : describeDrill(life!.drill);
      assert.deepEqual({ rows, holes, lost }, { rows: sent, holes: 0, lost: 0 }, what);
    }
  }),
);

test(
  'every stored exec is one that ran, once, with the digest of what ran',
  options,
  replayable(async () => {
    const { ran, stored } = aftermath;
    const numbers = stored.map(({ n }) => n).sort((a, b) => a - b);
    assert.deepEqual(
      numbers.filter((n, at) => n === numbers[at - 1]),
      [],
      'none twice',
    );
    for (const { n, program, sha256 } of stored) {
      assert.ok(n >= 0 && n < ran.length, `exec ${n} of ${ran.length}`);
      assert.equal(program, ran[n]!.program, `exec ${n}`);
      if (sha256 !== '') assert.equal(sha256, driver.digests[program], `exec ${n}`);
    }
  }),
);

test(
  'what ran while the probe was up and ended in order is stored, all of it',
  options,
  replayable(async () => {
    const { killed, calm, ran, stored } = aftermath;
    const numbers = new Set(stored.map(({ n }) => n));
    const watched = killed.flatMap(({ victim, upNs, killNs, drill }) =>
      upNs === undefined || PROBE_DIES.has(victim) ? [] : [{ fromNs: upNs, toNs: killNs, what: describeDrill(drill) }],
    );
    watched.push({ fromNs: calm.upNs, toNs: process.hrtime.bigint(), what: 'no kill' });
    for (const { fromNs, toNs, what } of watched) {
      const lost = within(ran, fromNs, toNs).filter((n) => !numbers.has(n));
      assert.deepEqual(lost, [], what);
    }
  }),
);

test(
  'what ran while no probe was there is absent',
  options,
  replayable(async () => {
    const { killed, calm, ran, stored } = aftermath;
    const numbers = new Set(stored.map(({ n }) => n));
    for (const [at, { goneNs, drill }] of killed.entries()) {
      const next = killed[at + 1] ?? calm;
      const invented = within(ran, goneNs, next.startedNs).filter((n) => numbers.has(n));
      assert.deepEqual(invented, [], describeDrill(drill));
    }
  }),
);

test(
  'what ran while no probe was there has its number, exec by exec',
  options,
  replayable(() => checkCensus(aftermath, census)),
);

test(
  'the roll-ups count what the rows are, late digests included',
  options,
  replayable(async () => {
    const { life, store, stored } = aftermath;
    // The probe goes on: between the insert of rows and of what is counted from them the two may differ.
    const left: { now: unknown[] } = { now: [] };
    await eventually('rows and counts agree', 20_000, async () => {
      left.now = await disagreeingCounts(store);
      return left.now.length === 0 ? true : undefined;
    }).catch(() => assert.deepEqual(left.now, []));
    const digested = stored.filter(({ sha256 }) => sha256 !== '').map(({ sha256 }) => sha256);
    const expected = Map.groupBy(digested, (sha256) => sha256);
    const path = encodeURIComponent(`${driver.folder}/p*`);
    const binaries = (await allPages(life, `/v1/binaries?path=${path}`)) as { sha256: string; exec_count: number }[];
    const counted = binaries.filter(({ sha256 }) => sha256).map(({ sha256, exec_count }) => [sha256, exec_count]);
    assert.deepEqual(counted.sort(), [...expected].map(([sha256, own]) => [sha256, own.length]).sort());
  }),
);

test(
  'each program is found once, and told once or marked as a possible repeat',
  options,
  replayable(async () => {
    const { life, stored } = aftermath;
    const seen = new Set(stored.map(({ sha256 }) => sha256).filter((sha256) => sha256 !== ''));
    const ours = async () =>
      ((await allPages(life, '/v1/findings')) as Finding[]).filter(({ sha256 }) => seen.has(sha256));
    const findings = await eventually('all findings', 30_000, async () => {
      const found = await ours();
      return found.length >= seen.size ? found : undefined;
    });
    assert.equal(new Set(findings.map(({ id }) => id)).size, findings.length);
    assert.deepEqual(findings.map(({ sha256 }) => sha256).sort(), [...seen].sort());
    const rowsOf = Map.groupBy(stored, ({ sha256 }) => sha256);
    const miscounted = findings.filter(({ sha256, count }) => count !== rowsOf.get(sha256)!.length);
    assert.deepEqual(miscounted, [], 'a finding counts the rows');
    const untold = () => [...seen].filter((sha256) => toldAbout(slack.messages, sha256).times === 0);
    await eventually('all alerts', 60_000, async () => (untold().length === 0 ? true : undefined)).catch(() =>
      assert.deepEqual(untold(), [], 'never told'),
    );
    await delay(2_500);
    const told = [...seen].map((sha256) => ({ sha256, ...toldAbout(slack.messages, sha256) }));
    assert.deepEqual(
      told.filter(({ unmarked }) => unmarked > 1),
      [],
      'told twice without a mark',
    );
    assert.ok(told.filter(({ times }) => times > 1).length <= 30 * DRILLS, 'a kill repeats one message at most');
    assert.deepEqual(
      slack.attempts.filter(({ outcome }) => outcome !== 'ok'),
      [],
      'no post too soon, none refused',
    );
  }),
);

test(
  'what the api acknowledged is kept',
  options,
  replayable(async () => {
    const { life, approved } = aftermath;
    const approvals = (await allPages(life, '/v1/approvals')) as { match: { sha256?: string[] } }[];
    const kept = approvals.flatMap(({ match }) => match.sha256 ?? []);
    assert.equal(new Set(kept).size, kept.length);
    assert.deepEqual(
      approved.filter((sha256) => !kept.includes(sha256)),
      [],
    );
  }),
);

type Finding = { readonly id: string; readonly sha256: string; readonly count: number };

async function allPages(life: Life, path: string): Promise<unknown[]> {
  const items: unknown[] = [];
  for (let cursor = ''; ; ) {
    const { status, json, text } = await life.call(
      'GET',
      `${path}${path.includes('?') ? '&' : '?'}limit=1000${cursor}`,
    );
    assert.equal(status, 200, text);
    items.push(...json.items);
    if (json.next_cursor === null) return items;
    cursor = `&cursor=${encodeURIComponent(json.next_cursor)}`;
  }
}
