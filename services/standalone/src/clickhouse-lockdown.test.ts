import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openStore, type Store, StoreError } from '@bintrail/runtime/store.ts';
import { isRoot, startTestEngine, type TestEngine, testUser } from './clickhouse-host.fixture.ts';
import type { Loot } from './clickhouse-lockdown.intruder.ts';

const ACCESS_DENIED = 497;
const CANNOT_OPEN_FILE = 76;
const PATH_ACCESS_DENIED = 481;

const secret = 'the row nobody may see';

/** What no user of the engine may do, and why it would hurt: reach files, programs, other servers, other databases. */
const forbidden = [
  "SELECT * FROM file('/etc/passwd', 'LineAsString')",
  "SELECT * FROM filesystem('/etc')",
  "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
  "SELECT * FROM remote('127.0.0.1', bintrail.secrets)",
  "SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'LineAsString')",
  "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
  "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
  "SELECT * FROM icebergLocal('/tmp')",
  "INSERT INTO FUNCTION file('out', 'CSV', 'a UInt8') VALUES (1)",
  'SELECT * FROM system.users',
  'SELECT * FROM system.server_settings',
  'SELECT * FROM information_schema.tables',
  "CREATE TABLE bintrail.x (a String) ENGINE = File('LineAsString', '/etc/passwd')",
  "CREATE TABLE bintrail.x (a String) ENGINE = URL('http://127.0.0.1:1/', 'LineAsString')",
  "CREATE TABLE bintrail.x (a String) ENGINE = Executable('id', 'LineAsString')",
  "CREATE DICTIONARY bintrail.x (a UInt64) PRIMARY KEY a SOURCE(FILE(path '/etc/passwd' format 'TSV')) LAYOUT(FLAT())",
  'CREATE FUNCTION x AS (a) -> a',
  'CREATE DATABASE other',
  "CREATE DATABASE files ENGINE = Filesystem('/etc')",
  'DROP DATABASE bintrail',
  'CREATE USER x',
  'GRANT SELECT ON *.* TO bintrail',
  "BACKUP TABLE bintrail.secrets TO File('/tmp/x')",
  'SYSTEM SHUTDOWN',
];

describe('the locked embedded engine', () => {
  let engine: TestEngine;
  let store: Store;
  before(async () => {
    engine = await startTestEngine();
    store = openStore(engine);
    await store.command('CREATE TABLE secrets (text String) ENGINE = MergeTree ORDER BY text');
    await store.insertRows('secrets', [{ text: secret }]);
  });
  after(async () => {
    await store.close();
    await engine.remove();
  });

  it('runs without any privilege, and cannot get one', () => {
    const status = readFileSync(`/proc/${engine.pid}/status`, 'utf8');
    const field = (name: string) =>
      status
        .match(new RegExp(`^${name}:[ \\t]*(.*)$`, 'm'))?.[1]
        ?.trim()
        .split(/\s+/);
    assert.deepEqual(field('Uid'), Array(4).fill(String(testUser.uid)));
    assert.deepEqual(field('Gid'), Array(4).fill(String(testUser.gid)));
    assert.deepEqual(field('NoNewPrivs'), ['1']);
    if (!isRoot) return;
    assert.deepEqual(field('Groups'), ['']);
    for (const set of ['CapPrm', 'CapEff', 'CapAmb']) assert.deepEqual(field(set), ['0'.repeat(16)]);
  });

  it('listens on one port of 127.0.0.1 and on nothing else', () => {
    assert.deepEqual(listeningSockets(engine.pid), [`0100007F:${hexPort(engine.url)}`]);
  });

  it('keeps its files to its user, its configuration not at all, the password out of its command line', () => {
    const workDir = join(engine.homeDir, 'clickhouse');
    assert.deepEqual(readdirSync(workDir).sort(), ['data', 'engine.log', 'password']);
    assert.equal(readFileSync(join(workDir, 'password'), 'utf8'), engine.password);
    for (const name of ['', 'data', 'engine.log', 'password', 'data/status']) {
      const { mode, uid } = statSync(join(workDir, name));
      assert.equal(mode & 0o077, 0, name);
      assert.equal(uid, testUser.uid, name);
    }
    assert.ok(!readFileSync(`/proc/${engine.pid}/cmdline`, 'utf8').includes(engine.password));
  });

  const skip = isRoot ? false : 'needs root, to become nobody';
  it('gives another user of the machine no row, no file and no word', { skip }, async () => {
    const loot = plunder(engine);
    // That the engine lives is no secret, and shows that the intruder reached it.
    const pings = loot.filter(({ got }) => got === 'Ok.\n');
    assert.ok(pings.length > 0 && pings.every(({ attempt }) => attempt.includes('/ping?')), JSON.stringify(pings));
    const rest = loot.filter((found) => !pings.includes(found));
    assert.deepEqual(rest, []);
    assert.deepEqual(await store.query('SELECT text FROM secrets'), [{ text: secret }]);
  });

  it('lets `default` do nothing, even with the key of the door in hand', async () => {
    const asDefault = async (sql: string): Promise<string | null> => {
      const headers = { Authorization: `Basic ${btoa(`bintrail:${engine.password}`)}` };
      const answer = await fetch(`${engine.url}/?user=default`, { method: 'POST', body: sql, headers });
      const body = await answer.text();
      return answer.ok ? body : answer.headers.get('X-ClickHouse-Exception-Code');
    };
    assert.equal(await asDefault('SELECT currentUser()'), 'default\n');
    for (const sql of ['SELECT * FROM bintrail.secrets', ...forbidden]) {
      assert.equal(await asDefault(sql), String(ACCESS_DENIED), sql);
    }
  });

  for (const sql of [...forbidden, 'SYSTEM START LISTEN TCP']) {
    it(`refuses ${sql}`, async () => {
      await assert.rejects(store.command(sql), refusal(ACCESS_DENIED));
    });
  }

  it('is kept from files by the kernel where the engine asks for no right', async (t) => {
    if (engine.printed.some((line) => line.includes('no Landlock'))) return t.skip('this kernel has no Landlock');
    const own = join(engine.homeDir, 'of the same user');
    writeFileSync(own, secret);
    chownSync(own, testUser.uid, testUser.gid);
    for (const path of ['/etc/passwd', own, `/proc/${process.pid}/environ`]) {
      await assert.rejects(store.query('SELECT file({path:String})', { path }), refusal(CANNOT_OPEN_FILE), path);
    }
    await assert.rejects(store.query("SELECT * FROM sqlite('/etc/passwd', 'x')"), refusal(PATH_ACCESS_DENIED));
  });

  it('lets the store do its own work', async () => {
    const engines = {
      counted: 'SummingMergeTree',
      latest: 'ReplacingMergeTree',
      states: 'AggregatingMergeTree',
    };
    for (const [table, kind] of Object.entries(engines)) {
      await store.command(`CREATE TABLE ${table} (id UInt64, n UInt64) ENGINE = ${kind} ORDER BY id`);
    }
    await store.command('CREATE MATERIALIZED VIEW mv TO counted AS SELECT id, 1 AS n FROM latest');
    await store.command('CREATE VIEW plain AS SELECT id FROM latest');
    await store.command('ALTER TABLE latest ADD COLUMN more String');
    await store.insertRows('latest', [{ id: 1 }]);
    await store.command("ALTER TABLE latest UPDATE more = 'x' WHERE 1 SETTINGS mutations_sync = 1");
    assert.deepEqual(await store.query('SELECT id, more FROM latest'), [{ id: '1', more: 'x' }]);
    assert.deepEqual(await store.query('SELECT id, n FROM counted'), [{ id: '1', n: '1' }]);
    const columns = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'plain'";
    assert.deepEqual(await store.query(columns), [{ name: 'id' }]);
    for (const table of ['parts', 'mutations', 'tables', 'merges', 'disks']) {
      await store.query(`SELECT count() FROM system.${table}`);
    }
    await store.command('OPTIMIZE TABLE latest FINAL');
    for (const table of ['mv', 'plain', ...Object.keys(engines)]) await store.command(`DROP TABLE ${table} SYNC`);
  });
});

const refusal = (code: number) => (error: unknown) => error instanceof StoreError && error.code === code;

function plunder(engine: TestEngine): Loot[] {
  const inside = ['', 'password', 'engine.log', 'data', 'data/status', 'data/metadata/bintrail.sql', 'data/store'];
  const files = inside.map((name) => join(engine.homeDir, 'clickhouse', name));
  const paths = [...files, `/proc/${engine.pid}/environ`, `/proc/${engine.pid}/mem`];
  const script = fileURLToPath(new URL('./clickhouse-lockdown.intruder.ts', import.meta.url));
  const args = [script, new URL(engine.url).port, ...paths];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

function hexPort(url: string): string {
  return Number(new URL(url).port).toString(16).toUpperCase().padStart(4, '0');
}

/** Local addresses of a process's sockets that wait for a peer: TCP in LISTEN (0A), UDP unconnected (07). */
function listeningSockets(pid: number): string[] {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const inode = readlinkSync(`/proc/${pid}/fd/${fd}`).match(/^socket:\[(\d+)\]$/)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const found: string[] = [];
  for (const table of ['tcp', 'tcp6', 'udp', 'udp6']) {
    for (const line of readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n')) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (inodes.has(inode ?? '') && (state === '0A' || state === '07')) found.push(local ?? '');
    }
  }
  return found;
}
