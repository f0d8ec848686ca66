/** The main job on the real kernel: a new program runs, is found, told, approved, and stays approved. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startSlackReceiver } from '../slack-receiver.ts';
import { type Bintrail, eventually, startBintrail, whyNotHere } from './bintrail.ts';

const run = promisify(execFile);
const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-e2e-'));
const home = join(folder, 'home');
const program = join(folder, 'hello');
const SECRET = 'hunter2-never-to-be-seen';
let bintrail: Bintrail;
let slack: Awaited<ReturnType<typeof startSlackReceiver>>;
let sha256: string;

before(async () => {
  if (skip) return;
  slack = await startSlackReceiver();
  bintrail = await startBintrail(home, { SLACK_WEBHOOK_URL: slack.url });
});

after(async () => {
  // A start that failed has already said so; the receiver must not keep the process alive.
  const code = await (bintrail as Bintrail | undefined)?.stop();
  await (slack as typeof slack | undefined)?.close();
  if (!skip) assert.equal(code, 0);
  rmSync(folder, { recursive: true });
});

async function findingOf(path: string, state = ''): Promise<unknown> {
  const { json } = await bintrail.get(`/v1/findings?limit=1000${state && `&state=${state}`}`);
  return json.items.find((finding: { path: string }) => finding.path === path);
}

const messagesAbout = (digest: string) => slack.messages.filter((message) => JSON.stringify(message).includes(digest));

test('a program compiled a moment ago is found within 5 s, with its evidence', { skip, timeout: 60_000 }, async () => {
  writeFileSync(join(folder, 'hello.c'), `#include <stdio.h>\nint main(void) { puts("${Date.now()}"); return 0; }\n`);
  await run('cc', ['-o', program, join(folder, 'hello.c')]);
  sha256 = createHash('sha256').update(readFileSync(program)).digest('hex');
  await run('/bin/sh', ['-c', `${program} one --password ${SECRET} || exit 1; exit 0`]);
  // biome-ignore lint/suspicious/noExplicitAny: an answer of the api
  const finding: any = await eventually('the finding', 5_000, async () => (await findingOf(program)) as never);
  assert.equal(finding.rule, 'unapproved-binary');
  assert.equal(finding.sha256, sha256);
  assert.equal(finding.verdict.value, 'unapproved');
  assert.deepEqual(finding.exec.argv, [program, 'one', '--password', '[redacted]']);
  assert.equal(finding.exec.uid, 0);
  assert.ok(
    finding.exec.ancestors.some(({ path }: { path: string }) => path.endsWith('dash')),
    'the shell is its parent',
  );
});

test('run a thousand times it is still one message, and the count is right', { skip, timeout: 120_000 }, async () => {
  await eventually('the message', 10_000, async () => (messagesAbout(sha256).length > 0 ? true : undefined));
  await run('/bin/sh', ['-c', `i=0; while [ $i -lt 1000 ]; do ${program} >/dev/null; i=$((i+1)); done`]);
  const counted = await eventually('1,001 execs', 20_000, async () => {
    const { json } = await bintrail.get(`/v1/binaries/${sha256}`);
    return json?.exec_count >= 1_001 ? json : undefined;
  });
  assert.equal(counted.exec_count, 1_001);
  assert.equal(counted.verdict.value, 'unapproved');
  assert.equal(messagesAbout(sha256).length, 1);
});

test('approved by its digest, its verdict flips everywhere and nothing new is found', {
  skip,
  timeout: 60_000,
}, async () => {
  const approval = await bintrail.send('POST', '/v1/approvals', {
    match: { sha256: [sha256] },
    effect: 'allow',
    scope: { workload: '*' },
    reason: 'our own program',
    expires_at: null,
  });
  assert.equal(approval.status, 201, approval.text);
  assert.equal((await bintrail.get(`/v1/binaries/${sha256}`)).json.verdict.value, 'approved');
  // biome-ignore lint/suspicious/noExplicitAny: an answer of the api
  const finding: any = await findingOf(program);
  assert.equal(finding.state, 'resolved');
  assert.equal(finding.verdict.value, 'approved');
  assert.equal(await findingOf(program, 'open'), undefined);
});

test('deleted and run as a copy elsewhere it has the same digest and is still approved', {
  skip,
  timeout: 60_000,
}, async () => {
  const copy = join(folder, 'elsewhere');
  await run('/bin/sh', ['-c', `cp ${program} ${copy}; rm ${program}; ${copy}`]);
  const seen = await eventually('the copy', 10_000, async () => {
    const { json } = await bintrail.get(`/v1/binaries/${sha256}`);
    return json.exec_count >= 1_002 ? json : undefined;
  });
  assert.ok(seen.paths.includes(copy));
  assert.equal(seen.verdict.value, 'approved');
  await delay(2_000);
  assert.equal(await findingOf(copy), undefined);
  assert.equal(messagesAbout(sha256).length, 1);
});

test('a password among the arguments is nowhere: not in the store, the log, or a message', {
  skip,
  timeout: 60_000,
}, async () => {
  const { json } = await bintrail.get(`/v1/events?type=exec&sha256=${sha256}&flags=redacted_argv`);
  assert.equal(json.items.length, 1);
  assert.ok(!JSON.stringify(json).includes(SECRET));
  assert.ok(!JSON.stringify(slack.messages).includes(SECRET));
  assert.ok(!bintrail.output().includes(SECRET));
  const files = await run('grep', ['-rl', '--binary-files=text', SECRET, home]).catch(({ stdout }) => ({ stdout }));
  assert.equal(files.stdout, '');
});

test('how much was missed is told', { skip, timeout: 60_000 }, async () => {
  const coverage = await eventually('a coverage answer', 15_000, async () => {
    const { json } = await bintrail.get('/v1/coverage?since=now-1h');
    return json?.items?.length > 0 ? json : undefined;
  });
  assert.ok(JSON.stringify(coverage).includes('"lost"'));
});
