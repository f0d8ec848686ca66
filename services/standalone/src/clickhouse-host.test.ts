import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SetupError, Transient } from '@bintrail/runtime/errors.ts';
import { openStore } from '@bintrail/runtime/store.ts';
import { engineConfig, memoryLimitBytes } from './clickhouse-config.ts';
import { buildHost, hostBinary, isRoot, startTestEngine, testHome, testUser } from './clickhouse-host.fixture.ts';
import { startClickHouse } from './clickhouse-host.ts';

const skip = isRoot ? false : 'needs root, to be more than one user';

describe('the embedded ClickHouse', () => {
  it('keeps every acknowledged row when it is killed, and says so', { timeout: 60_000 }, async ({ signal }) => {
    const engine = await startTestEngine();
    const store = openStore(engine);
    await store.command('CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id');
    let acknowledged = 0;
    const write = async () => {
      for (;;) {
        await store.insertRows('t', [{ id: acknowledged }]);
        acknowledged++;
      }
    };
    const cutOff = assert.rejects(write(), Transient);
    while (acknowledged < 50) await delay(1, undefined, { signal });
    process.kill(engine.pid, 'SIGKILL');
    await assert.rejects(engine.done, /SIGKILL/);
    await cutOff;
    await store.close();

    const again = await startTestEngine(engine.homeDir);
    const reopened = openStore(again);
    const [row] = await reopened.query<{ n: number }>('SELECT uniqExact(id)::UInt32 AS n FROM t');
    assert.ok(row!.n === acknowledged || row!.n === acknowledged + 1, `${row!.n} of ${acknowledged}`);
    await reopened.close();
    await again.remove();
  });

  it('resolves `done` when it is stopped, also twice, and is gone then', async () => {
    const engine = await startTestEngine();
    await Promise.all([engine.stop(), engine.stop()]);
    await engine.done;
    assert.throws(() => process.kill(engine.pid, 0), { code: 'ESRCH' });
    await engine.remove();
  });

  it('waits for the data of an engine that is about to go', async () => {
    const first = await startTestEngine();
    const second = startTestEngine(first.homeDir);
    await delay(300);
    await first.stop();
    await (await second).remove();
  });

  it('is refused with the words of the engine while another one keeps the data, and leaves that one alone', async () => {
    const first = await startTestEngine();
    await assert.rejects(
      startClickHouse({ homeDir: first.homeDir, ...testUser, log: () => {} }),
      (error) => error instanceof SetupError && /CANNOT_OPEN_FILE/.test(error.message),
    );
    assert.equal(readFileSync(join(first.homeDir, 'clickhouse', 'password'), 'utf8'), first.password);
    const store = openStore(first);
    await store.ping();
    await store.close();
    await first.remove();
  });

  it('dies with the process that started it, however that ends', { timeout: 30_000 }, async ({ signal }) => {
    const homeDir = testHome();
    const fixture = new URL('./clickhouse-host.fixture.ts', import.meta.url);
    const script = `const { startTestEngine } = await import(${JSON.stringify(fixture.href)});
      console.log((await startTestEngine(${JSON.stringify(homeDir)})).pid);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(createInterface({ input: parent.stdout }), 'line');
    const pid = Number(line);
    assert.ok(isRunning(pid));
    parent.kill('SIGKILL');
    while (isRunning(pid)) await delay(10, undefined, { signal });
    rmSync(homeDir, { recursive: true });
  });

  it('names a folder its user cannot come to', { skip }, async () => {
    const closed = mkdtempSync(join(tmpdir(), 'bintrail-closed-'));
    const homeDir = join(closed, 'home');
    mkdirSync(homeDir);
    chownSync(homeDir, testUser.uid, testUser.gid);
    await assert.rejects(
      startClickHouse({ homeDir, ...testUser, log: () => {} }),
      (error) => error instanceof SetupError && error.message.includes(homeDir) && /BINTRAIL_HOME/.test(error.remedy),
    );
    rmSync(closed, { recursive: true });
  });

  it('never runs as root', { skip }, async () => {
    await assert.rejects(startClickHouse({ homeDir: '/nowhere', log: () => {} }), SetupError);
    await assert.rejects(startClickHouse({ homeDir: '/nowhere', uid: 0, gid: 0, log: () => {} }), SetupError);
  });
});

describe('the memory the engine may take', () => {
  const gibibyte = 1024 ** 3;
  for (const [total, constrained, limit] of [
    [8, 0, 2],
    [64, 0, 4],
    [64, 8, 2],
    [2, 0, 1],
    [4, 64, 1],
  ] as const) {
    it(`is ${limit} GiB of ${total}, with a cgroup limit of ${constrained}`, () => {
      assert.equal(memoryLimitBytes(total * gibibyte, constrained * gibibyte), limit * gibibyte);
    });
  }
});

describe('the program that hosts the engine', () => {
  const { uid, gid } = testUser;
  before(buildHost);

  it('says how it is called', async () => {
    assert.match((await run(hostBinary, [])).printed, /^usage:/);
    assert.equal((await run(hostBinary, [library, '/', 'x', '0', uid, gid, process.pid])).code, 2);
  });

  it('starts nothing without its configuration, which is what locks the engine', async () => {
    const { code, printed } = await run(hostBinary, [library, workFolder(), 'gone.xml', 1024, uid, gid, process.pid]);
    assert.equal(code, 1);
    assert.match(printed, /gone\.xml: No such file/);
  });

  it('starts nothing for a parent that is already gone', async () => {
    const { code, printed } = await run(hostBinary, [library, workFolder(), 'x', 1024, uid, gid, process.pid + 1]);
    assert.equal(code, 1);
    assert.match(printed, /parent/);
  });

  it('starts nothing as root', { skip }, async () => {
    const { code, printed } = await run(hostBinary, [library, workFolder(), 'x', 1024, 0, 0, process.pid]);
    assert.equal(code, 1);
    assert.match(printed, /never runs as root/);
  });

  it('works from where only root may read: the program, the library', { skip, timeout: 60_000 }, async ({ signal }) => {
    const closed = mkdtempSync(join(tmpdir(), 'bintrail-closed-'));
    copyFileSync(hostBinary, join(closed, 'host'));
    copyFileSync(library, join(closed, 'libchdb.so'), constants.COPYFILE_FICLONE);
    for (const name of ['host', 'libchdb.so']) chmodSync(join(closed, name), 0o700);
    const workDir = workFolder();
    const port = await freePort();
    const host = spawn(
      join(closed, 'host'),
      [join(closed, 'libchdb.so'), workDir, 'config.xml', port, uid, gid, process.pid].map(String),
    );
    const ended = once(host, 'close');
    while (host.exitCode === null && !(await answers(port))) await delay(10, undefined, { signal });
    assert.equal(host.exitCode, null);
    host.kill();
    await ended;
    rmSync(closed, { recursive: true });
  });
});

const library = join(
  dirname(createRequire(import.meta.url).resolve(`@chdb/lib-linux-${process.arch}-gnu/package.json`)),
  'libchdb.so',
);

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function workFolder(): string {
  const workDir = testHome();
  folders.push(workDir);
  const config = { fileName: 'config.xml', password: 'p', memoryLimitBytes: 2 ** 30, logFile: join(workDir, 'log') };
  writeFileSync(join(workDir, 'config.xml'), engineConfig(config));
  mkdirSync(join(workDir, 'data'));
  for (const name of ['data', 'config.xml']) chownSync(join(workDir, name), testUser.uid, testUser.gid);
  return workDir;
}

async function run(program: string, args: (string | number)[]): Promise<{ code: number | null; printed: string }> {
  const child = spawn(program, args.map(String), { stdio: ['ignore', 'inherit', 'pipe'], timeout: 15_000 });
  const [printed] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, printed };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/ping`).then(
    (answer) => answer.ok,
    () => false,
  );
}

/** A process its new parent has not collected yet is as dead as one that is gone. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
