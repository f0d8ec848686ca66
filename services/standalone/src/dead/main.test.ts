import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { User } from '@bintrail/runtime/privileges.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { takeHome } from '../home.ts';
import { dead, newFolder, openBusIn, putAside, recordsOf } from './dead.fixture.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const NOBODY: User = { uid: 65_534, gid: 65_534 };
const needsRoot = { skip: process.getuid?.() === 0 ? false : 'only root acts as another user' };

function npmRunDead(home: string, args: string, user: Partial<User> = {}) {
  const { KAFKA_BROKERS: _, ...env } = process.env;
  const options = { env: { ...env, BINTRAIL_HOME: home }, encoding: 'utf8', timeout: 60_000 } as const;
  return spawnSync(process.execPath, [MAIN, ...args.split(' ')], { ...options, ...user });
}

describe('npm run dead', () => {
  it('says what is wrong and what to do, and makes nothing', (t) => {
    const folder = newFolder(t);
    const missing = npmRunDead(join(folder, 'none'), 'list');
    assert.match(missing.stderr, /no data folder \/.*\/none.*\n\nWhat to do: set BINTRAIL_HOME/s);
    assert.equal(missing.status, 78);
    assert.match(npmRunDead(folder, 'list').stderr, /bintrail-dead-\w+ holds no bus/);
    const usage = npmRunDead(folder, 'show x');
    assert.match(usage.stderr, /"x" is no ID: .*\nusage: npm run dead/s);
    assert.equal(usage.status, 64);
    assert.deepEqual(readdirSync(folder), []);
    writeFileSync(join(folder, 'bus.db'), 'no database at all, but long enough to be taken for one'.repeat(20));
    assert.match(npmRunDead(folder, 'list').stderr, /bus\.db is not a bus/);
  });

  it('works beside a process that has the bus open, and writes what was asked for to stdout alone', async (t) => {
    const folder = newFolder(t);
    const bus = openBusIn(t, folder);
    const empty = npmRunDead(folder, 'list');
    assert.deepEqual([empty.status, empty.stdout, empty.stderr], [0, '', 'There are no dead letters.\n']);
    await putAside(bus, dead(1));
    assert.match(npmRunDead(folder, 'list').stdout, /bintrail\.events:0:1/);
    assert.equal(npmRunDead(folder, 'show bintrail.events:0:1 --raw').stdout, 'no message 1');
    const replayed = npmRunDead(folder, 'replay --all');
    assert.deepEqual([replayed.status, replayed.stdout], [0, '']);
    assert.match(replayed.stderr, /1 of 1 replayed/);
    assert.equal((await recordsOf(bus, TOPICS.events)).length, 1);
  });

  for (const running of [true, false]) {
    it(`reaches a home closed to its owner while Bintrail ${running ? 'runs' : 'is stopped'}`, needsRoot, async (t) => {
      const home = join(newFolder(t), 'home');
      mkdirSync(home);
      chownSync(home, NOBODY.uid, NOBODY.gid);
      const taken = takeHome(home, '/', NOBODY);
      const bus = openBusIn(t, taken.reachablePath);
      await putAside(bus, dead(1));
      if (!running) await bus.close();
      if (!running) taken.release();
      const { status, stderr } = npmRunDead(home, 'replay --all');
      assert.deepEqual([status, stderr], [0, 'bintrail.events:0:1 published again\n1 of 1 replayed\n']);
      const owners = readdirSync(home).map((file) => [file, statSync(join(home, file)).uid] as const);
      const ofOthers = owners.filter(([file, uid]) => uid !== NOBODY.uid && !file.startsWith('lock.db'));
      assert.deepEqual(ofOthers, []);
      await bus.close();
      if (running) taken.release();
    });
  }

  it('tells a user who may not read the bus so', needsRoot, async (t) => {
    const folder = newFolder(t);
    await openBusIn(t, folder).close();
    assert.match(npmRunDead(folder, 'list', NOBODY).stderr, /no data folder .* or it is closed to you/);
    chmodSync(folder, 0o711);
    const { status, stderr } = npmRunDead(folder, 'list', NOBODY);
    assert.match(stderr, /no access to the bus .*bus\.db\n\nWhat to do: run as the owner/);
    assert.equal(status, 78);
  });
});
