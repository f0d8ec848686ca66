import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { ringRecord } from '@bintrail/schemas/ring-record.fixture.ts';
import fc from 'fast-check';
import type { Row } from './events-out.ts';
import { NO_PACKAGE } from './packages.ts';
import {
  BASH,
  CHANGED,
  EXEC,
  type ExecRow,
  execRecord,
  openPath,
  READ,
  READING,
  RUN,
  SECOND,
  TICK_NS,
} from './record-path.fixture.ts';

const some = (...texts: readonly string[]) => fc.constantFrom(...texts);
const anyExec = fc.record({
  ...{ pid: fc.integer({ min: 1, max: 4 }), cpu: fc.nat(7), uid: fc.nat(), ts: fc.bigInt(RUN, 1n << 62n) },
  ...{ parent_pid: fc.constantFrom(1, 2, 3, 4), parent_start_ns: fc.constantFrom(1n, RUN - 1n) },
  ...{ parent_self_exec_id: fc.constantFrom(1, 2), writecount: fc.integer({ min: -9, max: 0 }), nlink: fc.nat() },
  ...{ flags: fc.constantFrom(0, flagBit('setuid'), flagBit('memfd'), flagBit('unlinked'), flagBit('fine_ctime')) },
  ...{ filename: some('bash', '/bin/bash', ''), cwd: some('/', '/\xff'), comm: some('bash', 'sh') },
  cgroup_path: some('/system.slice/cron.service', '/docker-1', ''),
  argv: some(
    '',
    'bash\0',
    'bash\0-c\0',
    'mysql\0-psecret\0',
    'curl\0-H\0Authorization: Bearer abcdefgh12345678\0',
    'x',
  ),
});

test('the short way says of an exec what the long way says, without asking for packages again', async (context) => {
  const property = fc.asyncProperty(fc.array(anyExec, { minLength: 1, maxLength: 20 }), async (facts) => {
    const [short, long] = [openPath(context), openPath(context)];
    for (const cgroup_path of [EXEC.cgroup_path, '/docker-1']) {
      await short.takeExecs({ pid: 7, cgroup_path });
      await long.takeLongWay({ pid: 7, cgroup_path });
    }
    short.state.asked = 0;
    const expected: unknown[] = [];
    for (const one of facts) expected.push(...(await long.takeLongWay(one)));
    assert.deepEqual(await short.takeExecs(...facts), expected);
    assert.equal(short.state.asked, 0);
  });
  await fc.assert(property, { numRuns: 100 });
});

test('a known file has its digest at once, exact and from the cache', async (context) => {
  const path = openPath(context);
  await path.takeExecs({});
  const [row] = await path.takeExecs({});
  assert.equal(path.state.asked, 1);
  const { sha256, digest_source, digest_strength, workload, package_match } = row as ExecRow;
  assert.deepEqual([sha256, digest_source, digest_strength], [READING.sha256, 'cache', 'exact']);
  assert.deepEqual([workload, package_match], ['w/system.slice/cron.service', 'match']);
});

test('of one file in two containers each has the answer of its own database', async (context) => {
  const path = openPath(context);
  const inside = { cgroup_path: '/docker-1', mnt_ns: 5 };
  const matches = async (...facts: Partial<ExecRow>[]) => {
    const found: unknown[] = [];
    for (const one of facts) found.push((await path.takeExecs(one))[0]!.package_match);
    return found;
  };
  assert.deepEqual(await matches({}, inside), ['match', '']);
  path.state.inContainer = { ...BASH, package_match: 'claimed' };
  assert.deepEqual(await matches({}, inside, { ...inside, mnt_ns: 6 }, inside), ['match', '', 'claimed', '']);
  assert.equal(path.state.asked, 3);
});

test('a database that could not be read is asked again', async (context) => {
  const path = openPath(context);
  path.state.package = { ...NO_PACKAGE, package_match: 'unread' };
  await path.takeExecs({});
  path.state.package = BASH;
  const [row] = await path.takeExecs({});
  assert.deepEqual([row!.package_match, row!.package_algorithm], ['match', 'md5']);
});

const otherFiles: Record<string, Partial<ExecRow>> = {
  device: { dev: 9 << 20 },
  generation: { generation: 8 },
  inode: { ino: 99n + (1n << 32n) },
  ctime: { ctime_ns: CHANGED + 1n },
  mtime: { mtime_ns: CHANGED - 1n },
  size: { size: 1_000n + (1n << 32n) },
};
for (const [what, facts] of Object.entries(otherFiles)) {
  test(`a file of another ${what} never gets the digest`, async (context) => {
    const path = openPath(context);
    await path.takeExecs({});
    const [row] = await path.takeExecs(facts);
    assert.deepEqual([row!.sha256, row!.digest_reason], ['', 'vanished']);
  });
}

const weaker: Record<string, [Partial<ExecRow>, string, string]> = {
  'that may be written to': [{ writecount: 1 }, 'cache', 'writable'],
  'before the reading began': [{ ts: READ - SECOND }, 'held', 'exact'],
  'at the moment when the reading began': [{ ts: READ }, 'held', 'exact'],
  'within two ticks of the last change': [{ ts: CHANGED + 2n * TICK_NS - 1n }, 'held', 'racy'],
};
for (const [what, [facts, source, strength]] of Object.entries(weaker)) {
  test(`an exec ${what} is judged for itself`, async (context) => {
    const path = openPath(context);
    await path.takeExecs({});
    const [row] = await path.takeExecs(facts);
    assert.deepEqual([row!.digest_source, row!.digest_strength], [source, strength]);
  });
}

test('a file just changed is known for later execs only', async (context) => {
  const path = openPath(context);
  await path.takeExecs({});
  const times = [CHANGED, READ + 1n, RUN].map((ts) => ({ ts }));
  const rows = await path.takeExecs(...times);
  const strengths = rows.map(({ ts, digest_strength }) => [ts, digest_strength]);
  assert.deepEqual(new Map(strengths as [bigint, string][]).get(CHANGED), 'racy');
  assert.equal(strengths.filter(([, strength]) => strength === 'exact').length, 2);
});

test('an answer of the package database holds for a moment, and is asked for anew while it does', async (context) => {
  const path = openPath(context);
  await path.takeExecs({});
  path.state.package = { ...BASH, package_match: 'mismatch' };
  path.state.nowMs += 2_000;
  const [kept] = await path.takeExecs({});
  assert.equal(kept!.package_match, 'match');
  await new Promise((resolve) => setImmediate(resolve));
  const [fresh] = await path.takeExecs({});
  assert.deepEqual([fresh!.package_match, path.state.asked], ['mismatch', 2]);
  path.state.package = BASH;
  path.state.nowMs += 3_000;
  const [late] = await path.takeExecs({});
  assert.deepEqual([late!.package_match, path.state.asked], ['match', 3]);
});

test('bytes that were compared and have no record are asked for each time', async (context) => {
  const path = openPath(context);
  path.state.package = { ...BASH, package_match: 'no_record' };
  await path.takeExecs({});
  path.state.package = { ...BASH, package_match: 'mismatch' };
  const [row] = await path.takeExecs({});
  assert.equal(row!.package_match, 'mismatch');
});

test('a snapshot and a script go the long way although their file is known', async (context) => {
  const path = openPath(context);
  await path.takeExecs({});
  const [snapshot] = await path.takeExecs({ flags: flagBit('snapshot') });
  assert.equal(snapshot!.digest_reason, 'snapshot');
  const rows = await path.takeExecs({ flags: flagBit('script'), filename: '/x.sh' });
  assert.deepEqual(rows.map(({ role }) => role).sort(), ['script', undefined]);
});

test('an exit has the workload of the image that ended', async (context) => {
  const path = openPath(context);
  const exitRecord = (facts: Partial<Row<'exit'>>) =>
    ringRecord(exit, blankRow(exit, { pid: 10, self_exec_id: 2, start_ns: RUN - 1n, ...facts }), RUN + 5n);
  await path.takeExecs({ cgroup_path: '/docker-1' });
  const rows = await path.take(exitRecord({ exit_code: 3 }), exitRecord({ self_exec_id: 3 }));
  const told = rows.map(({ ts, exit_code, workload, container_id }) => [ts, exit_code, workload, container_id]);
  assert.deepEqual(told, [
    [RUN + 5n, 3, 'w/docker-1', 'c1'],
    [RUN + 5n, 0, '', ''],
  ]);
});

test('what rests on an exec that waits for its file waits with it, and nothing else', async (context) => {
  const path = openPath(context);
  const exitOf = ({ pid, start_ns }: Partial<Row<'exit'>>) =>
    ringRecord(exit, blankRow(exit, { pid: pid!, self_exec_id: 2, start_ns: start_ns ?? RUN - 1n }), RUN + 5n);
  await path.takeExecs({ pid: 1, start_ns: 1n, self_exec_id: 1 }, { pid: 5 });
  const [waits, child] = [
    { pid: 20, ino: 5n, path: '/new' },
    { pid: 21, parent_pid: 20, parent_start_ns: RUN - 1n },
  ];
  const { rows, stay } = await path.takeKnown(
    ...[exitOf({ pid: 5 }), execRecord(waits), exitOf({ pid: 20 }), execRecord({ ...child, parent_self_exec_id: 2 })],
    ...[execRecord({ pid: 22 }), exitOf({ pid: 22 })],
  );
  assert.deepEqual(rows.map(({ pid }) => pid).sort(), [22, 22, 5]);
  assert.equal(stay, 3);
  const later = await path.take();
  const told = later.map(({ pid, parent_path, workload }) => [pid, parent_path, workload]);
  assert.deepEqual(
    told.sort((a, b) => String(a).localeCompare(String(b))),
    [
      [20, undefined, EXEC_WORKLOAD],
      [20, '/usr/bin/bash', EXEC_WORKLOAD],
      [21, '/new', EXEC_WORKLOAD],
    ],
  );
});

const EXEC_WORKLOAD = 'w/system.slice/cron.service';

test('what is no record is counted, and leaves nothing behind', async (context) => {
  const path = openPath(context);
  await path.takeExecs({});
  const whole = execRecord({});
  const tooLate = ringRecord(exec, EXEC, 1n << 63n);
  const bad = [
    whole.subarray(0, -1),
    Buffer.concat([whole, Buffer.of(0)]),
    Buffer.alloc(23),
    Buffer.alloc(24),
    tooLate,
  ];
  assert.deepEqual(await path.take(...bad, ringRecord(exit, blankRow(exit), RUN).subarray(0, 47)), []);
  assert.equal(path.state.undecodable, bad.length + 1);
});

test('the kernel is told once of each place where a program can wait, and again as it may forget', async (context) => {
  const { state, toldIn, takeExecs } = openPath(context);
  const at = async (nowMs: number, mnt_ns: number) => {
    state.nowMs = nowMs;
    await takeExecs({ mnt_ns });
  };
  await at(1_000, 5);
  assert.deepEqual(toldIn, [], 'the first was not known');
  for (const mnt_ns of [5, 5, 6, 5, 6]) await at(1_100, mnt_ns);
  assert.deepEqual(toldIn, [5, 6]);
  await at(100_000, 5);
  for (const mnt_ns of [5, 5]) await at(100_100, mnt_ns);
  assert.deepEqual(toldIn, [5, 6, 5]);
});
