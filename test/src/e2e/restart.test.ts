/** Ctrl-C and a new start while programs keep running: nothing stored is counted twice, and counting goes on. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Bintrail, eventually, request, startBintrail, whyNotHere } from './bintrail.ts';

const run = promisify(execFile);
const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-restart-'));
const home = join(folder, 'home');
const program = join(folder, 'looped');

after(() => rmSync(folder, { recursive: true }));

async function compile(): Promise<void> {
  writeFileSync(join(folder, 'looped.c'), `int main(void) { return ${process.pid % 200}; }\n`);
  await run('cc', ['-o', program, join(folder, 'looped.c')]);
  await delay(50);
}

/** Execs of the program as the roll-up counts them and as the raw rows do. */
async function counts(
  bintrail: Bintrail,
): Promise<{ rolledUp: number; raw: number; ids: Set<string>; missing: string[] }> {
  const { json } = await bintrail.get(`/v1/binaries?path=${encodeURIComponent(program)}`);
  const rolledUp = json.items[0]?.exec_count ?? 0;
  const ids = new Set<string>();
  const missing: string[] = [];
  let raw = 0;
  for (let cursor = ''; ; ) {
    const page = (await bintrail.get(`/v1/events?type=exec&path=${encodeURIComponent(program)}&limit=1000${cursor}`))
      .json;
    raw += page.items.length;
    for (const { exec_id, digest } of page.items) {
      ids.add(exec_id);
      if (digest.reason !== null && digest.reason !== '') missing.push(digest.reason);
    }
    if (page.next_cursor === null) return { rolledUp, raw, ids, missing };
    cursor = `&cursor=${encodeURIComponent(page.next_cursor)}`;
  }
}

test('stopped and started again it goes on with the same data', { skip, timeout: 180_000 }, async () => {
  await compile();
  const first = await startBintrail(home);
  const loop = spawn('/bin/sh', ['-c', `while :; do ${program}; done`], { stdio: 'ignore' });
  try {
    await eventually('100 execs', 20_000, async () => ((await counts(first)).raw >= 100 ? true : undefined));
    assert.equal(await first.stop(), 0, first.output());
    const second = await startBintrail(home);
    try {
      assert.equal(second.token, first.token);
      const before = await counts(second);
      assert.ok(before.raw >= 100);
      await eventually('more execs', 20_000, async () =>
        (await counts(second)).raw > before.raw + 100 ? true : undefined,
      );
      loop.kill('SIGKILL');
      await once(loop, 'exit');
      const last = await eventually('a quiet store', 20_000, async () => {
        const [one, two] = [await counts(second), await delay(1_500).then(() => counts(second))];
        return one.raw === two.raw ? two : undefined;
      });
      assert.deepEqual(last.missing, [], 'every exec carries a digest');
      assert.equal(last.ids.size, last.raw, 'no exec is stored twice');
      assert.equal(last.rolledUp, last.raw, 'the roll-up equals the raw rows');
      const { json } = await second.get('/v1/coverage?since=now-1h');
      const [{ lost, gaps }] = json.items;
      assert.equal(lost, 0);
      assert.deepEqual({ ...gaps, newest: undefined }, { count: 1, unknown: 1, missed: 0, newest: undefined });
      const [{ missed, reason }] = gaps.newest;
      assert.deepEqual({ missed, reason }, { missed: null, reason: 'no_bpffs' }, 'unknown, and not 0');
      const health = (await second.get('/healthz')).json;
      assert.match(health.parts.probe.detail, /mount -t bpf/);
    } finally {
      assert.equal(await second.stop(), 0, second.output());
    }
  } finally {
    loop.kill('SIGKILL');
  }
});

test('another local user gets nothing: no row, no file', { skip, timeout: 120_000 }, async () => {
  const bintrail = await startBintrail(home);
  try {
    for (const path of ['/v1/events', '/v1/findings', '/v1/tokens', '/metrics']) {
      assert.equal((await request(`${bintrail.url}${path}`, 'GET', undefined)).status, 401, path);
    }
    const nobody = { uid: 65_534, gid: 65_534 };
    for (const name of ['token', 'bus.db', 'clickhouse']) {
      await assert.rejects(run('cat', [join(home, name)], nobody), `${name} is closed`);
    }
    const ports = await listeningPorts();
    const own = new URL(bintrail.url).port;
    const script = ports
      .filter((port) => port !== own)
      .map((port) => `curl -s -m 2 "http://127.0.0.1:${port}/?query=SELECT+count()+FROM+bintrail.exec_events"`)
      .join('; ');
    const { stdout } = await run('/bin/sh', ['-c', `${script}; true`], nobody);
    assert.ok(!/^\d+$/m.test(stdout), stdout);
    for (const entry of walk(home))
      assert.equal((statSync(entry, { throwIfNoEntry: false })?.mode ?? 0) & 0o006, 0, `${entry} is open to others`);
  } finally {
    assert.equal(await bintrail.stop(), 0);
  }
});

/** Local TCP ports in LISTEN state, /proc/net/tcp (proc_pid_net(5)). */
async function listeningPorts(): Promise<string[]> {
  const { stdout } = await run('cat', ['/proc/net/tcp']);
  const lines = stdout
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
  return lines
    .filter((fields) => fields[3] === '0A')
    .map((fields) => String(Number.parseInt(fields[1]!.split(':')[1]!, 16)));
}

function walk(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const full = join(path, entry.name);
    if (entry.isSymbolicLink()) return [];
    return entry.isDirectory() ? walk(full) : [full];
  });
}
