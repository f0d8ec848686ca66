import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openApk } from './apk.ts';

/** As apk-tools 2.14 writes it (lib/apk/db/installed of an Alpine image), cut down. */
const INSTALLED = `C:Q1p78yvTLG094tHE1+dToJGbmYzQE=
P:musl
V:1.2.5-r0
A:x86_64
S:383152
I:622592
T:the musl c library (libc) implementation
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1l8JSCTXCOLcFqWpMzkRsELLSgzA=
R:libc.musl-x86_64.so.1
a:0:0:777
Z:Q17yJ3JFNypA4mxhJJr0ou6CzsJVI=

C:Q1NFDFFp5SLMrsUcLqMr4oVZWpFmY=
P:busybox
V:1.36.1-r29
A:x86_64
F:bin
R:busybox
a:0:0:755
Z:Q1JTJnR2YPfbvCnJbMgcPIMCS8vNo=
F:etc
M:0:0:755
R:securetty
Z:Q1mB95Hq2NUTZ599RDiSsj9w5FrOU=
R:unsummed
F:
R:.top
Z:Q2LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=

`;

const packagesIn = (text: string) => {
  const source = openApk(Buffer.from(text, 'latin1'));
  return [...source.packages()].map(({ at, found }) => {
    assert.deepEqual(source.packageAt(at), found);
    return found;
  });
};
const hex = (base64: string) => Buffer.from(base64, 'base64').toString('hex');

test('packages, their folders, files and checksums', () => {
  const [musl, busybox, ...others] = packagesIn(INSTALLED);
  assert.deepEqual(others, []);
  assert.deepEqual([musl?.name, musl?.version, musl?.architecture], ['musl', '1.2.5-r0', 'x86_64']);
  assert.deepEqual(musl?.files[0], {
    ...{ path: '/lib/ld-musl-x86_64.so.1', record: 'packaged', algorithm: 'sha1' },
    digest: hex('l8JSCTXCOLcFqWpMzkRsELLSgzA='),
  });
  assert.deepEqual(
    busybox?.files.map(({ path, record, algorithm }) => [path, record, algorithm]),
    [
      ['/bin/busybox', 'packaged', 'sha1'],
      ['/etc/securetty', 'conffile', 'sha1'],
      ['/etc/unsummed', 'none', ''],
      ['/.top', 'packaged', 'sha256'],
    ],
  );
});

test('what is no package is passed over, wherever the text ends', () => {
  assert.deepEqual(packagesIn(''), []);
  assert.deepEqual(packagesIn('\n\n\n'), []);
  assert.deepEqual(packagesIn('P:x\nF:bin\nR:y\n'), [undefined], 'without a version');
  for (let length = 0; length < INSTALLED.length; length++) packagesIn(INSTALLED.slice(0, length));
});

test('a checksum of another kind or length is none', () => {
  const checksum = (text: string) =>
    packagesIn(`P:x\nV:1\nA:all\nF:bin\nR:y\nZ:${text}\n`)[0]?.files.map(({ algorithm }) => algorithm);
  assert.deepEqual(checksum('Q3JTJnR2YPfbvCnJbMgcPIMCS8vNo='), ['']);
  assert.deepEqual(checksum('Q1JTJnR2YPfbvCnJbMgcPIMCS8'), ['']);
  assert.deepEqual(checksum('d41d8cd98f00b204e9800998ecf8427e'), ['']);
  assert.deepEqual(checksum(''), ['']);
});
