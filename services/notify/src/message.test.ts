import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FindingContainer } from '@bintrail/schemas/finding.ts';
import { VERDICTS } from '@bintrail/schemas/sighting.ts';
import { readPayload, textsOf } from '@bintrail/test/slack-payload.ts';
import fc from 'fast-check';
import type { Alert } from './alert.ts';
import { LIMITS, type SlackMessage, sizeOf } from './block-kit.ts';
import { digestOf, type FindingChange, hostile, hostileFinding, MARK, makeFinding } from './finding.fixture.ts';
import { findingMessage, plainMessage } from './message.ts';
import { MAX_LISTED, plainSummary, summaryMessage } from './summary.ts';

const access = { apiUrl: 'http://127.0.0.1:7070', tokenPath: '/var/lib/bintrail/token' };

const hostileAlert: fc.Arbitrary<Alert> = fc.record({
  finding: hostileFinding,
  episode: fc.nat(3),
  verdict: fc.record({ value: fc.constantFrom(...VERDICTS), why: hostile, approval_id: fc.constant(null) }),
  policyRevision: fc.nat(),
  otherWorkloads: fc.array(hostile, { maxLength: 7 }),
  moreWorkloads: fc.nat(1000),
  counts: fc.option(fc.record({ count: fc.nat(), nodes: fc.nat(), firstNs: fc.bigInt({ min: 0n, max: 2n ** 64n }) }), {
    nil: undefined,
  }),
  mayRepeat: fc.boolean(),
});

function makeAlert(finding: FindingChange = {}, change: Partial<Alert> = {}): Alert {
  return {
    finding: makeFinding(finding),
    episode: 0,
    verdict: { value: 'unapproved', why: 'No approval covers it and no package owns its path.', approval_id: null },
    policyRevision: 7,
    otherWorkloads: [],
    moreWorkloads: 0,
    counts: undefined,
    mayRepeat: false,
    ...change,
  };
}

function assertAccepted(message: SlackMessage): void {
  const read = readPayload(JSON.stringify(message));
  assert.ok(!('error' in read), 'error' in read ? `${read.error}: ${JSON.stringify(message)}` : '');
  assert.ok(message.text.length <= LIMITS.textChars);
  assert.ok(sizeOf(message.blocks ?? []) <= LIMITS.messageChars);
}

/** Nothing that came from a host may be markup: no mention, no link, no code that ends early. */
function assertHarmless(message: SlackMessage): void {
  for (const text of textsOf([message, { text: message.text }])) {
    assert.doesNotMatch(text, /[<>]/);
    assert.doesNotMatch(text, /&(?!(amp|lt|gt);)/);
    assert.doesNotMatch(text, /[^\P{C}\n]|\p{Zl}|\p{Zp}/u, 'an invisible character');
    const outside = text.replace(/```\n[^`]*\n```/g, '').replace(/`[^`\n]+`/g, '');
    assert.doesNotMatch(outside, /`/, `a code span is open: ${text}`);
    assert.ok(!outside.includes(MARK), `hostile text outside of code: ${outside}`);
  }
}

const allText = (message: SlackMessage) => textsOf(message.blocks).join('\n');

test('any finding makes a message that Slack takes and that holds no markup but ours', () => {
  fc.assert(
    fc.property(hostileAlert, (alert) => {
      for (const message of [findingMessage(alert, access), plainMessage(alert, access)]) {
        assertAccepted(message);
        assertHarmless(message);
      }
    }),
  );
});

test('texts that take the most room still leave a message that Slack takes, with its command', () => {
  for (const filler of ['"', '\\', '\n', '&', 'é', '😀']) {
    const text = filler.repeat(5000);
    const process = { exec_id: text, pid: 1, path: text, argv: Array(50).fill(text) };
    const exec = { ...process, ...{ parent_exec_id: text, ppid: 1, uid: 0, cwd: text, parent_path: text } };
    const evidence = {
      package: text,
      image: text,
      container: { id: text, name: text, image_ref: text, namespace: text, pod: text },
      flags: [text],
      exec: { ...exec, ancestors: Array(20).fill(process) },
    };
    const finding = { path: text, node: text, role: text, evidence };
    const alert = makeAlert(finding, {
      verdict: { value: 'unapproved', why: text, approval_id: null },
      otherWorkloads: Array(7).fill(text),
      mayRepeat: true,
    });
    assertAccepted(findingMessage(alert, access));
    assertAccepted(plainMessage(alert, access));
    assert.match(allText(findingMessage(alert, access)), /v1\/approvals/);
    for (const { message } of [summaryMessage(Array(40).fill(alert), access), plainSummary(Array(40).fill(alert))]) {
      assertAccepted(message);
    }
  }
});

test('any findings make a summary that Slack takes and that holds no markup but ours', () => {
  fc.assert(
    fc.property(fc.array(hostileAlert, { minLength: 1, maxLength: 45 }), (alerts) => {
      for (const { message, listed } of [summaryMessage(alerts, access), plainSummary(alerts)]) {
        assert.ok(listed >= 1 && listed <= Math.min(alerts.length, MAX_LISTED));
        assertAccepted(message);
        assertHarmless(message);
      }
    }),
    { numRuns: 40 },
  );
});

test('a pid that is not known is not shown as 0', () => {
  const startedBy = (parent_path: string, ppid: number) => {
    const exec = { ...makeAlert({}, {}).finding.evidence.exec, ancestors: [], parent_path, ppid };
    return /\*Started by\*\n(.*)/.exec(allText(findingMessage(makeAlert({ evidence: { exec } }, {}), access)))?.[1];
  };
  assert.deepEqual(
    [startedBy('/usr/bin/dash', 0), startedBy('/usr/bin/dash', 7), startedBy('', 7), startedBy('', 0)],
    ['`/usr/bin/dash`', '`/usr/bin/dash` pid 7', 'pid 7', '(not known)'],
  );
});

test('a message holds the evidence', () => {
  const ancestors = [
    { exec_id: 'b:2:2:1', pid: 20, path: '/usr/bin/dash', argv: ['sh', '-c', 'a b'] },
    { exec_id: 'b:1:1:1', pid: 1, path: '/usr/lib/systemd/systemd', argv: [] },
  ];
  const base = makeFinding();
  const exec = { ...base.evidence.exec, argv: ['miner', '--name', 'two words'], ancestors };
  const finding = {
    severity: 'high' as const,
    evidence: { flags: ['setuid', 'redacted_argv'], image: 'sha256:1234', exec },
  };
  const alert = makeAlert(finding, {
    counts: { count: 1204, nodes: 3, firstNs: 1_789_999_000_123_456_789n },
    otherWorkloads: ['session/eve'],
    moreWorkloads: 2,
  });
  const text = allText(findingMessage(alert, access));
  for (const part of [
    ...['High: unapproved-binary, setuid', '`/usr/local/bin/miner`', base.sha256, 'exactly the bytes', '*unapproved*'],
    ...['1,204 times on 3 nodes, first 2026-09-21T13:56:40.123Z', '`systemd/cron.service` on `web-1`'],
    ...['uid 1000, pid 4242 in `/tmp`', 'none owns this path', 'image `sha256:1234`', '(setuid)', "--name 'two words'"],
    ...["`/usr/bin/dash` pid 20: `sh -c 'a b'`", '`/usr/lib/systemd/systemd` pid 1', 'secrets taken out'],
    ...['`session/eve`, and at least 2 more', 'curl -sS -X POST http://127.0.0.1:7070/v1/approvals', base.finding_id],
  ]) {
    assert.ok(text.includes(part), `${part} is missing in\n${text}`);
  }
  assert.ok(!text.includes('repeat'));
});

test('a message names container, pod and image, as far as they are known', () => {
  const where = (container: FindingContainer, image: string, now?: FindingContainer) => {
    const counts = now && { count: 1, nodes: 1, firstNs: 1n, container: now };
    const text = allText(findingMessage(makeAlert({ evidence: { container, image } }, { counts }), access));
    return /\*Where\*\n([^*]*)/.exec(text)?.[1]?.trimEnd();
  };
  const id = '0123456789abcdef'.repeat(4);
  const inPod = { id, name: 'app', image_ref: 'registry.example/cart:1.4', namespace: 'shop', pod: 'cart-x2x9z' };
  const first = '`systemd/cron.service` on `web-1`\n';
  assert.equal(
    where(inPod, 'sha256:1234'),
    `${first}container \`app\` of pod \`shop/cart-x2x9z\`\nimage \`registry.example/cart:1.4\` \`sha256:1234\``,
  );
  const nothing = { id, name: '', image_ref: '', namespace: '', pod: '' };
  assert.equal(where(nothing, ''), `${first}container \`0123456789ab\``);
  assert.equal(
    where({ ...nothing, name: 'web', image_ref: 'web:1' }, ''),
    `${first}container \`web\`\nimage \`web:1\``,
  );
  assert.equal(where(nothing, '', inPod), where(inPod, ''), 'told of since');
});

test('a notification, a plain message and a line of a summary name container, pod and image too', () => {
  const container = { id: '0123456789abcdef'.repeat(4), name: '', image_ref: '', namespace: '', pod: '' };
  const told = {
    ...container,
    name: 'app',
    image_ref: 'registry.example/cart:1.4',
    namespace: 'shop',
    pod: 'cart-x2x9z',
  };
  const inPod = ' on `web-1` (container `app` of pod `shop/cart-x2x9z`, image `registry.example/cart:1.4`), SHA-256';
  const lines = (change: FindingChange, counts?: Alert['counts']) => {
    const alert = makeAlert(change, { counts });
    const summaries = [allText(summaryMessage([alert], access).message), plainSummary([alert]).message.text];
    return [findingMessage(alert, access).text, plainMessage(alert, access).text, ...summaries];
  };
  const [image, counts] = ['sha256:1234', { count: 1, nodes: 1, firstNs: 1n, container: told }];
  for (const line of lines({ evidence: { container: told, image } })) assert.ok(line.includes(inPod), line);
  for (const line of lines({ evidence: { container, image } }, counts)) assert.ok(line.includes(inPod), line);
  for (const line of lines({ evidence: { container, image } })) {
    assert.ok(line.includes(' on `web-1` (container `0123456789ab`, image `sha256:1234`), SHA-256'), line);
  }
  for (const line of lines({})) assert.ok(line.includes(' on `web-1`, SHA-256'), line);
});

test('a message holds nothing that tells nothing', () => {
  const exec = { ...makeFinding().evidence.exec, cwd: '', ancestors: [] };
  const finding = { evidence: { flags: ['fine_ctime', 'script', 'overlay'], exec } };
  const message = findingMessage(makeAlert(finding), access);
  const text = allText(message);
  assert.doesNotMatch(text, /_none_|read from|policy revision|Image|Flags|Note|undefined/);
  assert.ok(sizeOf(message.blocks!) < 2_500, `${sizeOf(message.blocks!)}`);
});

test('of a long line of ancestors the nearest show what they ran, those above their paths', () => {
  const ancestors = Array.from({ length: 12 }, (_, n) => {
    return { exec_id: `b:${n}`, pid: 100 - n, path: `/bin/a${n}`, argv: [`a${n}`, 'x'.repeat(4000)] };
  });
  const exec = { ...makeFinding().evidence.exec, ancestors };
  const text = allText(findingMessage(makeAlert({ evidence: { exec } }), access));
  const [, started = ''] = text.split('*Started by*\n');
  const lines = started.split('\n').slice(0, 4);
  assert.match(lines[0]!, /^`\/bin\/a0` pid 100: `a0 x+ … \[\d+ characters cut\] … x+`$/);
  assert.equal(lines[3], 'below `/bin/a3` ← `/bin/a4` ← `/bin/a5` ← `/bin/a6` ← `/bin/a7` ← 4 more');
  assert.ok(lines.join('').length < 700);
});

test('a digest that is not sure, a library, and code that was never a file are said so', () => {
  const digest = { source: 'held', strength: 'racy', reason: '' };
  const text = allText(findingMessage(makeAlert({ role: 'library', evidence: { digest, flags: ['memfd'] } }), access));
  assert.match(text, /not sure: the file may have been written, unseen, around the moment it ran/);
  assert.match(text, /\*Note\* {2}a library of the process; never was a file \(memfd\)/);
});

test('a finding without a digest says why, and offers no approval', () => {
  const text = allText(findingMessage(makeAlert({ rule: 'hash-missing', severity: 'low', sha256: '' }), access));
  assert.ok(text.includes('*SHA-256*  none: the file is larger than the probe reads'));
  assert.ok(text.includes('/v1/findings/') && !text.includes('/v1/approvals'));
});

test('package evidence says what was compared', () => {
  const shown = (match: string) =>
    allText(
      findingMessage(
        makeAlert({ evidence: { package: 'dpkg:dash:amd64', package_version: '0.5.12', package_match: match } }),
        access,
      ),
    );
  assert.ok(shown('match').includes('`dpkg:dash:amd64 0.5.12`: content as the package recorded it'));
  assert.ok(shown('mismatch').includes("content differs from the package's record"));
  assert.ok(shown('claimed').includes('by a database that its container could have written'));
  assert.ok(shown('unread').includes('the database of its root could not be asked'));
  assert.ok(shown('no_record').includes('the package records no checksum'));
});

test('what may be a repeat says so in the message, its line in a summary, and the notification', () => {
  const repeat = makeAlert({}, { mayRepeat: true });
  const plain = makeAlert({ sha256: digestOf(2) });
  assert.match(allText(findingMessage(repeat, access)), /May be a repeat/);
  for (const make of [findingMessage, plainMessage]) assert.match(make(repeat, access).text, /may be a repeat/);
  const lines = allText(summaryMessage([repeat, plain], access).message).split('\n');
  const marked = lines.filter((line) => line.startsWith('•') && line.includes('may be a repeat'));
  assert.equal(lines.filter((line) => line.startsWith('•')).length, 2);
  assert.equal(marked.length, 1);
});

test('an alert of a later episode says that it is back', () => {
  assert.match(allText(findingMessage(makeAlert({}, { episode: 1 }), access)), /seen again after it was resolved/);
});

test('a command that Slack would cut is not shown at all', () => {
  const text = allText(findingMessage(makeAlert({ workload: 'é'.repeat(500) }), access));
  assert.ok(!text.includes('/v1/approvals') && text.includes('/v1/findings/'));
});

test('a summary lists each group in one line, worst first, and says how many are left', () => {
  const alerts = Array.from({ length: 40 }, (_, n) =>
    makeAlert({ sha256: digestOf(n), path: `/opt/${n}`, severity: n === 35 || n === 3 ? 'critical' : 'medium' }),
  );
  const { message, listed } = summaryMessage(alerts, access);
  const lines = allText(message)
    .split('\n')
    .filter((line) => line.startsWith('•'));
  assert.equal(listed, MAX_LISTED);
  assert.equal(lines.length, listed);
  assert.match(lines[0]!, /critical.*`\/opt\/3`/);
  assert.deepEqual(new Set(lines.map((line) => /`(\/opt\/\d+)`/.exec(line)?.[1])).size, listed);
  assert.match(message.text, /^30 findings: 1 critical, 29 medium; 10 more follow$/);
});
