import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Transient } from './errors.ts';
import { createLog, describeError, type LogOptions } from './log.ts';

function capture(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = createLog({ level: 'info', name: 'part', write: (line) => lines.push(line), ...options });
  return { log, lines };
}

test('a line is one JSON object with time, level, name and fields', () => {
  const { log, lines } = capture();
  log.info({ count: 3 }, 'counted');
  log.debug('not shown');
  assert.equal(lines.length, 1);
  const { time, ...rest } = JSON.parse(lines[0]!);
  assert.deepEqual(rest, { level: 'info', name: 'part', count: 3, msg: 'counted' });
  assert.match(time, /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/);
});

test('secrets are redacted wherever they lie, in both forms', () => {
  for (const human of [false, true]) {
    const { log, lines } = capture({ human, secrets: ['slackUrl'] });
    log.info({ token: 'bt_1', request: { headers: { authorization: 'Bearer x1' } }, user: { password: 'p1' } }, 'm');
    log.info({ config: { slackUrl: 'https://hooks/s1' } }, 'm');
    assert.doesNotMatch(lines.join(''), /bt_1|x1|p1|s1/);
    assert.match(lines.join(''), /redacted/);
  }
});

test('errors show type, message, code and causes, and nothing else that hangs on them', () => {
  const { log, lines } = capture();
  const root = Object.assign(new Error('refused'), { code: 'ECONNREFUSED', headers: { 'x-key': 'hidden' } });
  log.error({ err: new Transient('the store is away', { cause: root }) }, 'm');
  const { err } = JSON.parse(lines[0]!);
  assert.equal(err.type, 'Transient');
  assert.equal(err.cause.code, 'ECONNREFUSED');
  assert.match(err.cause.stack, /log\.test\.ts/);
  assert.doesNotMatch(lines[0]!, /hidden/);
});

test('causes that go in a circle, and things that are no errors, are shown all the same', () => {
  const circular = new Error('round');
  circular.cause = circular;
  assert.equal(JSON.stringify(describeError(circular)).match(/"round"/g)!.length, 9);
  assert.deepEqual(describeError('just a text'), { type: 'string', message: 'just a text' });
  assert.deepEqual(describeError(undefined), { type: 'undefined', message: 'undefined' });
});

test('the human form is one line; only errors carry a stack', () => {
  const { log, lines } = capture({ human: true });
  log.warn({ path: '/bin/true', argv: ['a b'], err: new Error('outer', { cause: new Error('inner') }) }, 'careful');
  log.error({ err: new Error('broke') }, 'oh');
  assert.match(
    lines[0]!,
    /^[\d:.]{12} WARN {2}part: careful path=\/bin\/true argv=\["a b"\] \(Error: outer, because Error: inner\)\n$/,
  );
  assert.match(lines[1]!, /^[\d:.]{12} ERROR part: oh \(Error: broke\)\n {4}at /);
});

test('what others chose cannot forge a line or move the cursor', () => {
  const { log, lines } = capture({ human: true });
  log.info({ path: '/tmp/x\n00:00:00.000 INFO  part: forged', name2: '\u001b[2J\u009b2J\u202e' }, 'seen \u001b[31m\n');
  assert.equal(lines[0]!.split('\n').length, 2);
  assert.doesNotMatch(lines[0]!.trimEnd(), /\p{Cc}|\p{Cf}/u);
});

test('lines go to stderr, and are there when the process dies right after', () => {
  const script = `import { createLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)};
    createLog({ level: 'info', name: 'part' }).fatal('last words'); process.kill(process.pid, 'SIGKILL');`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(stdout, '');
  assert.equal(JSON.parse(stderr).msg, 'last words');
});
