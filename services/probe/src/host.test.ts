import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { checkHost, localUserNames, missingCapabilities } from './host.ts';

test('names each missing capability', () => {
  assert.deepEqual(missingCapabilities('CapEff:\t000001ffffffffff\n'), []);
  assert.deepEqual(missingCapabilities('CapEff:\t0000000000000000\n').sort(), [
    'CAP_BPF',
    'CAP_DAC_READ_SEARCH',
    'CAP_PERFMON',
    'CAP_SYS_ADMIN',
    'CAP_SYS_PTRACE',
  ]);
  assert.deepEqual(missingCapabilities(`CapEff:\t${(0x1ffffffffffn & ~(1n << 39n)).toString(16)}`), ['CAP_BPF']);
});

test('a host without the built object is told so', () => {
  assert.throws(
    () => checkHost('/nonexistent/bintrail.bpf.o'),
    (error: unknown) => error instanceof SetupError && error.message.includes('/nonexistent/bintrail.bpf.o'),
  );
});

test('the first name of a uid wins', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'passwd-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, 'passwd'),
    'root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n\nann:x:1000:1000::/:/bin/sh\n',
  );
  const userName = localUserNames(join(folder, 'passwd'));
  assert.equal(userName(0), 'root');
  assert.equal(userName(1000), 'ann');
  assert.equal(userName(12), undefined);
});
