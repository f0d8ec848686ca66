import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { approvalInputSchema } from '@bintrail/schemas/approval.ts';
import fc from 'fast-check';
import { approveDigest, listFindings, nextStep, quote, showFinding } from './commands.ts';
import { hostile, makeFinding } from './finding.fixture.ts';

const home = mkdtempSync(join(tmpdir(), "bintrail it's "));
after(() => rmSync(home, { recursive: true }));
const access = { apiUrl: 'http://127.0.0.1:7070', tokenPath: join(home, 'token') };
writeFileSync(access.tokenPath, 'bt_1_secret\n');

/** Runs the command in a real shell in which curl only prints its arguments. */
function argumentsOf(command: string): string[] {
  const script = `curl() { printf '%s\\0' "$@"; }\n${command}`;
  return execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
}

test('the command approves this digest in this workload, with the token from its file', () => {
  const finding = makeFinding({ workload: 'k8s/shop/Deployment/web/app' });
  const args = argumentsOf(approveDigest(finding, access));
  assert.deepEqual(args.slice(0, 4), ['-sS', '-X', 'POST', 'http://127.0.0.1:7070/v1/approvals']);
  assert.ok(args.includes('Authorization: Bearer bt_1_secret'));
  assert.ok(args.includes('Content-Type: application/json'));
  const body = approvalInputSchema.parse(JSON.parse(args.at(-1)!));
  assert.deepEqual(body.match, { sha256: [finding.sha256] });
  assert.deepEqual(body.scope, { workload: finding.workload });
  assert.equal(body.effect, 'allow');
});

test('no workload name reaches the shell, and the body means what it should', () => {
  fc.assert(
    fc.property(hostile, (workload) => {
      const command = approveDigest(makeFinding({ workload: workload.slice(0, 400) }), access);
      const body = JSON.parse(argumentsOf(command).at(-1)!);
      assert.equal(body.scope.workload, workload.slice(0, 400));
      assert.match(command, /^[ -~\n]*$/, 'not plain ASCII');
    }),
    { numRuns: 60 },
  );
});

test('a finding id reaches neither the shell nor another route', () => {
  const args = argumentsOf(showFinding("../x?y='$(touch /tmp/no)", access));
  assert.equal(args[1], "http://127.0.0.1:7070/v1/findings/..%2Fx%3Fy%3D'%24(touch%20%2Ftmp%2Fno)");
  assert.equal(argumentsOf(listFindings(access))[1], 'http://127.0.0.1:7070/v1/findings?state=open');
});

test('what no approval settles is looked at where it tells most', () => {
  const urlOf = (change: Parameters<typeof makeFinding>[0]) => {
    const { kind, command } = nextStep(makeFinding(change), access);
    assert.equal(kind, 'look');
    return argumentsOf(command)[1]!.replace('http://127.0.0.1:7070/v1', '');
  };
  assert.equal(urlOf({ rule: 'denied-digest' }), `/binaries/${'ab'.repeat(32)}`);
  assert.match(urlOf({ rule: 'denied-digest', sha256: '' }), /^\/findings\//);
  assert.equal(urlOf({ rule: 'fileless-exec' }), '/processes/boot%3A4242%3A1000%3A1');
  assert.match(urlOf({ rule: 'hash-missing', sha256: '' }), /^\/findings\//);
});

test('a shell gets back exactly what was quoted', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const word = text.toWellFormed().replaceAll('\0', '');
      fc.pre(word !== '');
      assert.deepEqual(argumentsOf(`curl ${quote(word)}`), [word]);
    }),
    { numRuns: 60 },
  );
});

const kindOf = (change: Parameters<typeof makeFinding>[0]) => nextStep(makeFinding(change), access).kind;

test('an approval is offered only where it settles the finding', () => {
  assert.equal(kindOf({}), 'approve');
  assert.equal(kindOf({ rule: 'tampered-package-file' }), 'approve');
  assert.equal(kindOf({ rule: 'denied-digest' }), 'look');
  assert.equal(kindOf({ rule: 'fileless-exec' }), 'look');
  assert.equal(kindOf({ rule: 'fileless-exec', sha256: '' }), 'look');
  assert.equal(kindOf({ rule: 'hash-missing', sha256: '' }), 'look');
  assert.equal(kindOf({ rule: 'tampered-package-file', sha256: '' }), 'look');
  assert.equal(kindOf({ evidence: { digest: { source: 'held', strength: 'racy', reason: '' } } }), 'look');
  assert.equal(kindOf({ workload: 'systemd/a*' }), 'look', 'the scope would be a prefix');
});
