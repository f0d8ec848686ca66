import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { interpreted, scriptRead } from '@bintrail/schemas/interpreted.ts';
import { type AnyRow, ringRecord } from '@bintrail/schemas/ring-record.fixture.ts';
import { createInterpreted } from './interpreted-scripts.ts';
import { createInterpreters, FAMILIES } from './interpreters.ts';
import type { NamedFile, Operand } from './operands.ts';
import type { Place } from './origins.ts';
import type { ReadScript } from './subjects.ts';

const FILE = {
  ...{ dev: 1, generation: 2, ino: 3n, ctime_ns: 4n, mtime_ns: 5n, size: 6n },
  ...{ nlink: 1, writecount: 0, fs_magic: 0, flags: 0 },
};
const IMAGE = { pid: 10, self_exec_id: 2, start_ns: 30n };
const START: AnyRow = {
  ...{ ...IMAGE, ...FILE, cpu: 0, cpu_seq: 0n, uid: 7, family: FAMILIES.indexOf('shell') + 1, mnt_ns: 1 },
  ...{ stdin_mode: 0o020666, path: '', parent_path: '/bin/sh', cwd: '/srv', cgroup_path: '/', argv: 'sh\0x.sh\0' },
};
const READ: AnyRow = { ...IMAGE, ...FILE, cpu: 0, cpu_seq: 1n, fd: 10, opened: 0, ino: 44n, path: '/srv/x.sh' };
const BOOT_NS = 5n;

/** `named`: what looking an argument up finds. */
function open(named: NamedFile | undefined) {
  const [told, asked]: [ReadScript[], Operand[]] = [[], []];
  const scripts = createInterpreted({
    observer: { onScript: (script) => told.push(script) },
    origins: { placeOfPath: () => ({}) as Place },
    interpreters: createInterpreters({ name: () => {}, nowNs: () => 0n }),
    pipeline: {
      ...{ known: () => undefined, whenRead: () => false },
      offerNamed: (_pid, fd) => {
        closeSync(fd);
        return undefined;
      },
    },
    look: (operand) => {
      asked.push(operand);
      return named && { ...named, fd: openSync('/dev/null', 'r') };
    },
    nowNs: () => 1_000n,
  });
  const takers = new Map(scripts.takers);
  const take = (definition: typeof interpreted | typeof scriptRead, row: AnyRow) => {
    const bytes = ringRecord(definition, row, BOOT_NS);
    return takers.get(definition.id)!(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 100n, 0n);
  };
  const shown = () => told.map(({ evidence, path, state, fd, stateNs }) => [evidence, path, state.ino, fd, stateNs]);
  return { scripts, take, shown, told, asked };
}

const NAMED: NamedFile = { fd: -1, state: FILE, path: '/srv/x.sh' };

test('the file that was read stands for what the arguments name', () => {
  const { scripts, take, shown, told, asked } = open(NAMED);
  assert.ok(take(interpreted, START));
  assert.deepEqual(shown(), []);
  assert.ok(take(scriptRead, READ));
  assert.ok(take(scriptRead, READ), 'a second one is of no use, and no error');
  scripts.finish();
  assert.deepEqual(shown(), [['read', '/srv/x.sh', 44n, 10, 105n]]);
  assert.deepEqual(
    asked.map(({ path }) => path),
    ['/srv/x.sh'],
  );
  const [{ runner }] = told as [ReadScript];
  assert.deepEqual([runner.pid, runner.uid, runner.path, runner.ts], [10, 7, '/bin/sh', 105n]);
});

test('one that was found open says so', () => {
  const { take, shown, scripts } = open(NAMED);
  take(interpreted, START);
  take(scriptRead, { ...READ, opened: 1 });
  scripts.finish();
  assert.deepEqual(shown(), [['opened', '/srv/x.sh', 44n, 10, 105n]]);
});

test('what is read before the program is a script of its own, and what is only open is none', () => {
  for (const [opened, expected] of [
    [0, ['read', 'named']],
    [1, ['named']],
  ] as const) {
    const { take, shown, scripts } = open(NAMED);
    take(interpreted, { ...START, argv: 'node\0-r\0hook.js\0x.sh\0', family: FAMILIES.indexOf('node') + 1 });
    take(scriptRead, { ...READ, opened, path: '/srv/hook.js' });
    scripts.finish();
    assert.deepEqual(
      shown().map(([evidence]) => evidence),
      expected,
    );
  }
});

test('without a reading the arguments stand, if there is such a file', () => {
  for (const named of [NAMED, undefined]) {
    const { scripts, take, shown } = open(named);
    take(interpreted, START);
    scripts.finish();
    assert.deepEqual(shown(), named === undefined ? [] : [['named', '/srv/x.sh', 3n, undefined, 1_000n]]);
  }
});

test('standard input is a script only if it is a file and nothing else is named', () => {
  const cases = [
    ['sh\0', 0o100644, ['stdin']],
    ['sh\0', 0o020666, []],
    ['sh\0-ec\0code\0', 0o100644, []],
    ['sh\0-s\0x\0', 0o100644, ['stdin']],
  ] as const;
  for (const [argv, stdin_mode, expected] of cases) {
    const { scripts, take, shown } = open(NAMED);
    take(interpreted, { ...START, argv, stdin_mode, path: '/srv/in.sh' });
    scripts.finish();
    assert.deepEqual(
      shown().map(([evidence]) => evidence),
      expected,
      argv,
    );
  }
});

test('what is no record of these is refused', () => {
  const { take } = open(NAMED);
  assert.equal(take(interpreted, { ...START, family: 99 }), false);
  const bytes = ringRecord(scriptRead, READ, BOOT_NS).subarray(0, 40);
  const [, takeRead] = open(NAMED).scripts.takers[1]!;
  assert.equal(takeRead(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0n, 0n), false);
});
