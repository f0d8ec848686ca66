/** The census on the running kernel. Other programs of this machine are counted too: a witness sees them all. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Counting, isCounting, openCensus, removeCensus } from '@bintrail/probe/census.ts';
import { loadLibbpf, loadLibc } from '@bintrail/probe/ffi.ts';
import { eventually } from '../e2e/bintrail.ts';
import { type Bpffs, mountBpffs } from './bpffs.ts';
import {
  firstExecs,
  type KilledProbe,
  sawEveryCpu,
  startExecsEverywhere,
  startProbeToKill,
  takeovers,
  witnessed,
} from './census-kit.ts';
import { CENSUS_OBJECT, run, type SeenRow, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const RACER = fileURLToPath(new URL('./census-racer.child.ts', import.meta.url));
const COMMAND = fileURLToPath(new URL('../../../services/probe/src/census.main.ts', import.meta.url));

describe('the census', { skip }, () => {
  const libbpf = skip ? (undefined as never) : loadLibbpf();
  const open = (folder: string) => openCensus(libbpf, loadLibc(), CENSUS_OBJECT, folder);
  let bpffs: Bpffs;
  before(async () => {
    bpffs = await mountBpffs();
  });
  after(() => bpffs.remove());

  const counting = (folder: string): Counting => {
    const census = open(folder);
    assert.ok(isCounting(census));
    return census;
  };
  const total = ({ counts }: Counting) => counts().reduce((sum, { execs }) => sum + execs, 0n);
  const folderNamed = (name: string) => join(dirname(bpffs.folder), name);

  it('goes on after kill -9, and each probe takes over exactly where its own execs begin', async () => {
    const witness = await watchKernel();
    const storm = startExecsEverywhere();
    const runs: KilledProbe[] = [];
    try {
      for (let times = 0; times < 3; times++) {
        const probe = startProbeToKill(bpffs.folder);
        await sawEveryCpu(probe);
        await probe.kill();
        runs.push(probe);
        await delay(200);
      }
    } finally {
      await storm.stop();
      await witness.stop();
    }
    const seen = witnessed(witness.rows());
    assert.deepEqual(lost(witness.rows()), []);
    assert.equal(new Set(runs.flatMap(({ census }) => census.map(({ id }) => id))).size, 1, 'one census throughout');
    for (const [n, later] of runs.slice(1).entries()) {
      const earlier = runs[n]!;
      assert.equal(firstExecs(later).size, availableParallelism());
      for (const [cpu, first] of firstExecs(later)) {
        const place = (image: string | undefined): number => {
          const at = seen.get(cpu)!.indexOf(image!);
          assert.ok(at >= 0, `the witness saw ${image}`);
          return at;
        };
        const ran = place(first) - place(firstExecs(earlier).get(cpu));
        assert.equal(
          Number(takeovers(later).get(cpu)! - takeovers(earlier).get(cpu)!),
          ran,
          `CPU ${cpu}, run ${n + 1}`,
        );
        assert.ok(ran > 100, 'something ran');
      }
    }
  });

  it('counts every exec and end while no probe is there', async () => {
    const census = counting(bpffs.folder);
    const before = census.counts();
    const [execs, ends] = [total(census), before.reduce((sum, { exits }) => sum + exits, 0n)];
    await run('sh', ['-c', 'for n in $(seq 200); do /bin/true; done']);
    assert.ok(total(census) - execs >= 201n);
    assert.ok(census.counts().reduce((sum, { exits }) => sum + exits, 0n) - ends >= 201n);
    census.close();
  });

  it('is begun once by probes that start together', async () => {
    const parent = folderNamed('');
    const [times, startMs] = [20, Date.now() + 3_000];
    const racers = [0, 1].map(() => run(process.execPath, [RACER, parent, `${startMs}`, `${times}`]));
    const [first, second] = (await Promise.all(racers)).map(({ stdout }) => stdout.trim().split('\n'));
    assert.equal(first!.length, times);
    assert.ok(
      first!.every((id) => /^\d+$/.test(id)),
      first!.join(),
    );
    assert.deepEqual(second, first);
    for (let time = 0; time < times; time++) assert.deepEqual(readdirSync(join(parent, `race-${time}`)), ['census']);
  });

  it('has another id once it was removed, and leaves nothing counting', async () => {
    const folder = folderNamed('removed');
    const first = counting(folder);
    const { stdout } = await run(process.execPath, [COMMAND, 'show'], {
      env: { ...process.env, BINTRAIL_CENSUS: folder },
    });
    assert.match(stdout, /^cpu 0: \d+ execs, \d+ processes ended$/m);
    await run(process.execPath, [COMMAND, 'remove'], { env: { ...process.env, BINTRAIL_CENSUS: folder } });
    assert.deepEqual(readdirSync(folder), []);
    // The kernel lets go of links some time after their last name.
    await eventually('it stands still', 10_000, async () => {
      const stood = total(first);
      await run('/bin/true');
      return total(first) === stood ? true : undefined;
    });
    const second = counting(folder);
    assert.notEqual(second.id, first.id);
    assert.equal(removeCensus(folder), true);
    assert.equal(removeCensus(folder), false);
    for (const census of [first, second]) census.close();
  });

  it('replaces one of another layout, and what a dead process left half done', () => {
    const folder = folderNamed('replaced');
    const first = counting(folder);
    const about = Number(libbpf.objGet(join(folder, 'census', 'census_about')));
    libbpf.update(about, new Uint32Array(1), new Uint32Array([999, 0, 5, 0]), 0n);
    closeSync(about);
    mkdirSync(join(folder, `new-${2 ** 30}-0`));
    const second = counting(folder);
    assert.notEqual(second.id, first.id);
    assert.notEqual(second.id, 5n);
    assert.deepEqual(readdirSync(folder), ['census']);
    rmSync(join(folder, 'census', 'count_exec'));
    assert.notEqual(counting(folder).id, second.id, 'one that lost a link counts no more');
    for (const census of [first, second]) census.close();
  });

  it('is not there without a bpffs, and the probe says so', async () => {
    const census = open('/tmp/no-bpffs/bintrail');
    assert.ok(!isCounting(census));
    assert.equal(census.reason, 'no_bpffs');
    assert.match(census.words, /mount -t bpf bpf/);
    const watched = await watchKernel({ censusFolder: '/tmp/bintrail' });
    await watched.stop();
    const rows = watched.rows().filter(({ event }) => event === 'census');
    assert.deepEqual(
      rows.map(({ cpu, census_id, reason }) => ({ cpu, census_id, reason })),
      [{ cpu: 0xffff_ffff, census_id: 0n, reason: 'no_bpffs' }],
    );
  });
});

/** Loss counters that are not zero. */
function lost(rows: readonly SeenRow[]): unknown[] {
  return rows.filter(({ event, event_type, lost }) => event === 'loss' && event_type === 'exec' && lost > 0n);
}
