/** A service runs what it downloaded, and has a program replaced under it: found, with who wrote it, and told so. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeCgroups, openShell, type Shell } from '../record/host-stage.ts';
import { startSlackReceiver } from '../slack-receiver.ts';
import { type Bintrail, eventually, startBintrail, whyNotHere } from './bintrail.ts';

const skip = whyNotHere() ?? (existsSync('/usr/bin/curl') ? false : 'needs curl');
const folder = mkdtempSync(join(tmpdir(), 'bintrail-dropped-'));
const UNIT = `bintrail-dropped-${process.pid}.service`;
let bintrail: Bintrail;
let slack: Awaited<ReturnType<typeof startSlackReceiver>>;
let server: Server;
let shell: Shell;
let removeCgroups: () => Promise<void>;

before(async () => {
  if (skip) return;
  slack = await startSlackReceiver();
  bintrail = await startBintrail(join(folder, 'home'), { SLACK_WEBHOOK_URL: slack.url });
  // Bytes of which no package and no earlier run of this test knows.
  const payload = Buffer.concat([readFileSync('/usr/bin/true'), Buffer.from(`${process.pid} ${Date.now()}`)]);
  server = createServer((_, response) => response.end(payload)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  removeCgroups = makeCgroups([`system.slice/${UNIT}`]);
  shell = await openShell(`system.slice/${UNIT}`, 0, folder);
});

after(async () => {
  (shell as Shell | undefined)?.end();
  const code = await (bintrail as Bintrail | undefined)?.stop();
  server?.close();
  await (slack as typeof slack | undefined)?.close();
  await removeCgroups?.();
  if (!skip) assert.equal(code, 0);
  rmSync(folder, { recursive: true });
});

const findingOf = async (path: string, rule: string) => {
  const { json } = await bintrail.get('/v1/findings?limit=1000');
  return json.items.find((finding: { path: string; rule: string }) => finding.path === path && finding.rule === rule);
};
const messageAbout = (text: string) => slack.messages.map((each) => JSON.stringify(each)).find((m) => m.includes(text));

test('what a service downloads and runs is found with who wrote it, and told', { skip, timeout: 60_000 }, async () => {
  const dropped = join(folder, 'dropped');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const curl = `curl -sS -o ${dropped} ${url}`;
  await shell.run(`sh -c '${curl} && chmod +x ${dropped} && sleep 0.1 && ${dropped}'`);
  const finding = await eventually('the finding', 10_000, () => findingOf(dropped, 'dropped-executable'));
  assert.equal(finding.workload, `systemd/${UNIT}`);
  const { path, argv, uid, at } = finding.evidence.written_by;
  assert.deepEqual([path, argv, uid], ['/usr/bin/curl', curl.split(' '), 0]);
  assert.ok(Math.abs(Date.now() - Date.parse(at)) < 60_000);
  const message = await eventually('the message', 15_000, async () => messageAbout(finding.sha256));
  assert.match(message, /dropped-executable/);
  assert.match(message, /Written by\* {2}`\/usr\/bin\/curl`: `curl -sS -o/);

  const changes = await eventually('the event of the change', 15_000, async () => {
    const { json } = await bintrail.get(`/v1/events?type=file&path=${encodeURIComponent(dropped)}`);
    return json.items.length > 0 ? json.items : undefined;
  });
  assert.deepEqual(
    changes.map(({ action, workload }: { action: string; workload: string }) => [action, workload]),
    [['mode', finding.workload]],
  );
});

test('a program replaced while the service runs it is found with who replaced it', {
  skip,
  timeout: 60_000,
}, async () => {
  const [program, next] = [join(folder, 'server'), join(folder, 'server.new')];
  for (const file of [program, next]) copyFileSync('/usr/bin/sleep', file);
  chmodSync(next, 0o755);
  await shell.run(`${program} 30 & sleep 0.1; mv ${next} ${program}; sleep 0.1; kill $!`);
  const finding = await eventually('the finding', 10_000, () => findingOf(program, 'modified-after-start'));
  assert.equal(finding.severity, 'medium');
  assert.equal(finding.evidence.written_by.path, '/usr/bin/mv');
  assert.deepEqual(finding.evidence.written_by.argv, ['mv', next, program]);
  const message = await eventually('the message', 15_000, async () => messageAbout(finding.id));
  assert.match(message, /Changed by/);
});
