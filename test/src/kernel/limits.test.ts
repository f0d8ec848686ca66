/** What the probe does where it cannot have or hold everything: it lets go, says so, and goes on. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startProbeApart } from './probe-apart.ts';
import { run, type SeenRow, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-limits-'));
const at = (name: string) => join(folder, name);
/** What an `umount` may have to wait for the probe. */
const UMOUNT_MS = 2_000;
/** So large that what else runs on this host does not use it up. */
const RATE = 64 * 1024 ** 2;
const QUEUE_LIMIT = '/proc/sys/fs/fanotify/max_queued_events';

before(async () => {
  if (skip) return;
  writeFileSync(at('noop.c'), 'void _start(void) { __asm__ volatile("syscall" : : "a"(231), "D"(0)); }\n');
  await run('cc', ['-O1', '-static', '-nostdlib', '-o', at('noop'), at('noop.c')]);
});

after(() => rmSync(folder, { recursive: true }));

/** Fresh programs, each with bytes of its own. */
function programs(where: string, count: number): string[] {
  mkdirSync(where, { recursive: true });
  return Array.from({ length: count }, (_, which) => {
    const path = join(where, `p${which}`);
    copyFileSync(at('noop'), path);
    chmodSync(path, 0o755);
    appendFileSync(path, `#${which}`);
    return path;
  });
}

/** The final word on each of these programs. */
function outcomes(rows: readonly SeenRow[], paths: readonly string[]): string[] {
  const word = (row: SeenRow) => row.digest_reason || 'digest';
  const late = new Map(rows.flatMap((row) => (row.event === 'digest' ? [[row.path, word(row)]] : [])));
  const own = new Map(rows.flatMap((row) => (row.event === 'exec' ? [[row.path, word(row)]] : [])));
  return paths.map((path) => (own.get(path) === 'pending' ? late.get(path) : own.get(path)) ?? 'no exec');
}

const lostAt = (rows: readonly SeenRow[], place: string) =>
  rows
    .filter((row) => row.event === 'loss' && row.place === place)
    .reduce((most, { lost }) => (lost > most ? lost : most), 0n);

test('a filesystem with far more programs than can be hashed is unmounted within 2 s', {
  skip,
  timeout: 120_000,
}, async () => {
  writeFileSync(at('disk'), '');
  truncateSync(at('disk'), 64 * 1024 * 1024);
  await run('mkfs.ext4', ['-q', at('disk')]);
  mkdirSync(at('mnt'));
  // In a mount namespace of its own: no other probe of this machine marks it, and holds what it holds.
  const mounting = ['unshare', '--mount', 'sh', '-c', `mount -o loop ${at('disk')} ${at('mnt')} && exec "$@"`, 'sh'];
  const probe = await startProbeApart(at('umount-home'), mounting);
  const inside = (...command: string[]) => run('nsenter', ['--mount', `--target=${probe.pid}`, ...command]);
  // 16 GB of holes: many times what 2 s are enough for.
  const make = `for i in $(seq 32); do cp ${at('noop')} $i; truncate -s $((536870912 + i)) $i; done`;
  await inside('sh', '-c', `cd ${at('mnt')} && ${make} && for i in $(seq 32); do ./$i; done`);
  const startedMs = performance.now();
  const unmounted = () =>
    inside('umount', at('mnt')).then(
      () => true,
      () => false,
    );
  while (!(await unmounted())) {
    assert.ok(performance.now() - startedMs < UMOUNT_MS, 'umount still fails after 2 s');
    await delay(20);
  }
  const rows = await probe.stop();
  const paths = Array.from({ length: 32 }, (_, index) => join(at('mnt'), `${index + 1}`));
  const words = new Set(outcomes(rows, paths));
  assert.ok(words.has('timeout') && words.has('overload'), `what was let go says so: ${[...words]}`);
  assert.ok(!words.has('no exec') && !words.has('pending'), `${[...words]}`);
  assert.ok(lostAt(rows, 'hash_queue') > 0n, 'and is counted');
});

test('with a rate to read at, what would have to wait for longer says so', { skip, timeout: 120_000 }, async () => {
  const paths = programs(at('rated'), 12);
  for (const path of paths) truncateSync(path, RATE + 1);
  const probe = await startProbeApart(at('rated-home'), ['env', `BINTRAIL_HASH_RATE=${RATE / 1024 ** 2}MiB`]);
  for (const path of paths) await run(path, []);
  // Until what could not be read in time was let go, and there is something to spend again.
  const later = programs(at('rated-later'), 5);
  for (const path of later) {
    await delay(1_000);
    await run(path, []);
  }
  const rows = await probe.stop();
  const words = outcomes(rows, paths);
  // `timeout`: it was being read when its time was over.
  assert.ok(
    words.every((word) => ['digest', 'rate_limited', 'timeout'].includes(word)),
    `${words}`,
  );
  assert.ok(words.includes('digest') && words.includes('rate_limited'), `${words}`);
  // One of them: what else runs on this machine is read at the same rate.
  assert.ok(outcomes(rows, later).includes('digest'), 'and the probe goes on');
  assert.ok(lostAt(rows, 'hash_queue') > 0n, 'and is counted');
});

test('libraries are given up as programs are, also where they are more than all that was handed over', {
  skip,
  timeout: 120_000,
}, async () => {
  await run('sh', ['-c', `echo 'int one(void) { return 1; }' | cc -shared -fPIC -o ${at('lib.so')} -xc -`]);
  const libraries = Array.from({ length: 60 }, (_, which) => at(`lib${which}.so`));
  for (const [which, path] of libraries.entries()) {
    copyFileSync(at('lib.so'), path);
    truncateSync(path, RATE + 1 + which);
  }
  const probe = await startProbeApart(at('mapped-home'), ['env', `BINTRAIL_HASH_RATE=${RATE / 1024 ** 2}MiB`]);
  // For longer than they are held.
  await run('/bin/sleep', ['3'], { env: { LD_PRELOAD: libraries.join(':') } });
  const rows = await probe.stop();
  const given = rows.filter(({ event, place }) => event === 'loss' && place === 'hash_queue');
  assert.ok(given.every(({ seen, sent, lost }) => seen === sent + lost));
  assert.ok(lostAt(rows, 'hash_queue') > 30n, `${lostAt(rows, 'hash_queue')} were given up`);
});

test('with hardly any files to open the kernel is never asked for one too many', {
  skip,
  timeout: 120_000,
}, async () => {
  const paths = programs(at('few'), 200);
  const probe = await startProbeApart(at('few-home'), ['prlimit', '--nofile=110:110']);
  await run('sh', ['-c', `for i in $(seq 0 199); do ${at('few')}/p$i & done; wait`]);
  await delay(500);
  const rows = await probe.stop();
  const words = outcomes(rows, paths);
  assert.ok(
    words.every((word) => word === 'digest' || word === 'overload'),
    `${[...new Set(words)]}`,
  );
  assert.ok(words.includes('digest'));
  assert.equal(lostAt(rows, 'fanotify'), 0n);
});

test('the limit of open files is raised as far as it goes', { skip, timeout: 60_000 }, async () => {
  const probe = await startProbeApart(at('raised-home'), ['prlimit', '--nofile=100:5000']);
  assert.match(readFileSync(`/proc/${probe.pid}/limits`, 'utf8'), /^Max open files +5000 +5000 /m);
  await probe.stop();
});

test('a full queue is loss, and says why digests are missing', { skip, timeout: 120_000 }, async () => {
  const [first, ...paths] = programs(at('many'), 401);
  const limit = readFileSync(QUEUE_LIMIT, 'utf8');
  writeFileSync(QUEUE_LIMIT, '64');
  const probe = await startProbeApart(at('full-home'), ['env']).finally(() => writeFileSync(QUEUE_LIMIT, limit));
  await run(first!, []);
  await delay(500);
  process.kill(probe.pid, 'SIGSTOP');
  try {
    for (const path of paths) {
      await run(path, []);
      // Else it would be opened again by its path.
      rmSync(path);
    }
  } finally {
    process.kill(probe.pid, 'SIGCONT');
  }
  await delay(500);
  const rows = await probe.stop();
  const words = outcomes(rows, paths);
  assert.ok(
    words.every((word) => word === 'digest' || word === 'overload'),
    `${[...new Set(words)]}`,
  );
  assert.ok(words.includes('overload'));
  // Other programs of the machine may have taken all places in the queue: what is certain was read before.
  assert.deepEqual(outcomes(rows, [first!]), ['digest']);
  assert.ok(lostAt(rows, 'fanotify') > 0n, 'and is counted');
});
