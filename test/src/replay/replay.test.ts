/** The recorded sample through the whole pipeline, as a user without any rights where this runs as root. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Bintrail, eventually, startBintrail } from '../e2e/bintrail.ts';
import { startSlackReceiver } from '../slack-receiver.ts';

const skip = process.platform === 'linux' ? false : 'the embedded ClickHouse needs Linux';
const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
const MAIN = fileURLToPath(new URL('../../../services/standalone/src/main.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'bintrail-replay-'));
const home = join(folder, 'home');
chmodSync(folder, 0o777);

after(() => rmSync(folder, { recursive: true }));

const replay = (env: NodeJS.ProcessEnv = {}) => startBintrail(home, env, { args: ['--replay'], user });
const isOver = async (bintrail: Bintrail) =>
  eventually('the end of the replay', 60_000, async () => /recorded events are played/.exec(bintrail.output())?.[0]);

/** How often the tool of the sample ran, by all that is stored. */
async function runsOf(bintrail: Bintrail, path: string): Promise<{ runs: number; sha256: string }> {
  const { json } = await bintrail.get(`/v1/binaries?path=${encodeURIComponent(path)}`);
  return { runs: json.items[0]?.exec_count ?? 0, sha256: json.items[0]?.sha256 };
}

const TOOL = '/tmp/bintrail-sample/home/report';
const FOUND = [
  'dropped-executable /tmp/bintrail-sample/update systemd/cron.service',
  'dropped-executable /tmp/busybox-update container/podman/till',
  'fileless-exec memfd:payload container/docker/261e4fca513b',
  'hash-missing /tmp/bintrail-sample/tools/bundle systemd/cron.service',
  'tampered-package-file /usr/sbin/sample-agent systemd/cron.service',
  'unapproved-binary /bin/busybox container/podman/till',
  'unapproved-binary /srv/till.sh container/podman/till',
  'unapproved-binary /tmp/bintrail-sample/app/shop container/docker/261e4fca513b',
  'unapproved-binary /tmp/bintrail-sample/backup.sh systemd/cron.service',
  'unapproved-binary /tmp/bintrail-sample/home/.cache/kworker session/deploy',
  'unapproved-binary /tmp/bintrail-sample/home/libtrace.so session/deploy',
  `unapproved-binary ${TOOL} session/deploy`,
  'unapproved-binary /tmp/bintrail-sample/home/tidy.sh session/deploy',
];

test('the sample is played twice, found, told, and marked everywhere', { skip, timeout: 180_000 }, async () => {
  const slack = await startSlackReceiver();
  const first = await replay({ SLACK_WEBHOOK_URL: slack.url });
  let sha256 = '';
  try {
    await isOver(first);
    await assertFindings(first, slack);
    await assertUpgradeExplained(first);
    const counted = await runsOf(first, TOOL);
    assert.equal(counted.runs, 2);
    sha256 = counted.sha256;
    const match = { sha256: [sha256] };
    const denial = { match, effect: 'deny', scope: { workload: '*' }, reason: 'known bad', expires_at: null };
    assert.equal((await first.send('POST', '/v1/approvals', denial)).status, 201);
  } finally {
    assert.equal(await first.stop(), 0, first.output());
    await slack.close();
  }
  assert.equal(existsSync(home), false, 'the home of real events is not touched');

  const second = await replay();
  try {
    await isOver(second);
    await eventually('four runs', 10_000, async () => ((await runsOf(second, TOOL)).runs === 4 ? true : undefined));
    const { json } = await second.get(`/v1/findings?sha256=${sha256}`);
    assert.ok(json.items.some(({ rule }: { rule: string }) => rule === 'denied-digest'));
    const events = (await second.get(`/v1/events?type=exec&path=${encodeURIComponent(TOOL)}`)).json.items;
    assert.equal(new Set(events.map((event: { exec_id: string }) => event.exec_id)).size, 4);
  } finally {
    assert.equal(await second.stop(), 0, second.output());
  }
});

async function assertFindings(bintrail: Bintrail, slack: { messages: readonly unknown[] }): Promise<void> {
  // biome-ignore lint/suspicious/noExplicitAny: an answer of the api
  const items: any[] = await eventually('all findings', 20_000, async () => {
    const { json } = await bintrail.get('/v1/findings?limit=1000');
    return json.items.length >= FOUND.length ? json.items : undefined;
  });
  assert.deepEqual(items.map(({ rule, path, workload }) => `${rule} ${path} ${workload}`).sort(), FOUND);
  for (const { nodes } of items) assert.deepEqual(nodes, ['replay:sample-host']);
  assert.equal(JSON.parse((await bintrail.get('/healthz')).text).mode, 'replay');
  const [node, ...others] = (await bintrail.get('/v1/nodes')).json.items;
  assert.deepEqual([node.node, node.mode, others], ['replay:sample-host', 'replay', []]);
  const lines = bintrail
    .output()
    .split('\n')
    .filter((line) => / (fileless-exec|unapproved-binary) .*;/.test(line));
  assert.equal(lines.length, 9);
  for (const line of lines) assert.match(line, /^\[replay\] /);
  assert.match(bintrail.output(), /^\[replay\] This is a replay/m);
  // One by one, or many together.
  const isTold = (found: string) => JSON.stringify(slack.messages).includes(`\`${found.split(' ')[1]}\``);
  await eventually('all messages', 30_000, async () => (FOUND.every(isTold) ? true : undefined));
  for (const message of slack.messages) assert.match(JSON.stringify(message), /replay:sample-host/);
  // The counters are the last thing the recorded probe said.
  const covered = await eventually('counters that agree with the store', 15_000, async () => {
    const { json } = await bintrail.get('/v1/coverage?since=now-1h');
    return json.items[0].seen === json.items[0].stored ? json.items[0] : undefined;
  });
  assert.equal(covered.lost, 0);
}

/** One path, two versions of its package, and a third content that is neither. */
async function assertUpgradeExplained(bintrail: Bintrail): Promise<void> {
  const { json } = await bintrail.get('/v1/events?type=exec&path=%2Fusr%2Fsbin%2Fsample-agent');
  // biome-ignore lint/suspicious/noExplicitAny: an answer of the api
  const runs = json.items.map((event: any) => `${event.package_version} ${event.package_match}`);
  assert.deepEqual(runs, ['1.1.0 mismatch', '1.1.0 match', '1.0.0 match']);
  const values = [];
  for (const { sha256 } of json.items) values.push((await bintrail.get(`/v1/binaries/${sha256}`)).json.verdict.value);
  assert.deepEqual(values, ['unapproved', 'explained', 'explained']);
}

/** Runs the program to its end with what it printed on stderr. */
async function ends(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, BINTRAIL_HOME: home, BINTRAIL_PORT: '0', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...user,
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, stderr };
}

test('without the rights for probes the replay is offered', { skip, timeout: 60_000 }, async () => {
  const { code, stderr } = await ends([]);
  assert.equal(code, 78);
  assert.match(stderr, /the probes cannot run here; missing:.*CAP_BPF/s);
  assert.match(stderr, /^npm start -- --replay shows it on a recorded sample$/m);
});

test('a server with real events, a wrong argument and a foreign home are refused', {
  skip,
  timeout: 60_000,
}, async () => {
  const mixed = await ends(['--replay'], { CLICKHOUSE_URL: 'http://127.0.0.1:1/bintrail' });
  assert.equal(mixed.code, 78);
  assert.match(mixed.stderr, /kept apart from real events.*bintrail_replay/s);
  const wrong = await ends(['--rewind']);
  assert.equal(wrong.code, 78);
  assert.match(wrong.stderr, /unknown argument: --rewind/);
  const closed = join(folder, 'closed');
  mkdirSync(closed, { mode: 0o555 });
  const foreign = await ends(['--replay'], { BINTRAIL_HOME: join(closed, 'home') });
  assert.equal(foreign.code, 78, foreign.stderr);
  assert.match(foreign.stderr, /no data can be kept in .*home-replay.*BINTRAIL_HOME/s);
});
