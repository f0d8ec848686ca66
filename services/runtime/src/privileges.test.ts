import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { asUser, lookupUser, privilegesIn } from './privileges.ts';

const NOBODY = { uid: 65534, gid: 65534 };
const skip = process.getuid?.() === 0 ? false : 'needs root, to give it up';
const module = JSON.stringify(new URL('./privileges.ts', import.meta.url).href);

/** Runs `body` in a process of its own, which may lose its privileges. */
function run(body: string, options: { uid?: number; gid?: number } = {}) {
  const script = `
    import { readFileSync } from 'node:fs';
    import { Worker } from 'node:worker_threads';
    import { asUser, dropPrivileges } from ${module};
    const nobody = { uid: 65534, gid: 65534 };
    ${body}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    cwd: '/',
    ...options,
  });
  return { stdout, stderr, status };
}

test('dropPrivileges leaves nothing of root, in worker threads neither', { skip }, () => {
  const { stdout, stderr, status } = run(`
    const read = () => { try { return readFileSync('/etc/shadow', 'utf8') } catch (error) { return error.code } };
    const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(\`
      import { readFileSync } from 'node:fs';
      import { parentPort } from 'node:worker_threads';
      const read = \${read};
      parentPort.on('message', () => parentPort.postMessage(read()));
      parentPort.postMessage('up');\`)));
    const fromWorker = () => new Promise((resolve) => worker.once('message', resolve));
    await fromWorker();
    dropPrivileges(nobody);
    worker.postMessage('read');
    const ids = { uid: process.getuid(), gid: process.getgid(), groups: process.getgroups() };
    console.log(JSON.stringify({ inWorker: await fromWorker(), here: read(), ...ids }));
    process.exit();`);
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { inWorker: 'EACCES', here: 'EACCES', ...NOBODY, groups: [65534] });
});

test('dropPrivileges throws when the process has nothing to drop or the target is root', { skip }, () => {
  const unprivileged = run(`dropPrivileges({ uid: 65533, gid: 65533 });`, { uid: 65534, gid: 65534 });
  assert.equal(unprivileged.status, 1);
  assert.match(unprivileged.stderr, /EPERM/);
  const toRoot = run(`dropPrivileges({ uid: 0, gid: 0 });`);
  assert.equal(toRoot.status, 1);
  assert.match(toRoot.stderr, /target is root/);
});

test('asUser works as that user and comes back, also when the work throws', { skip }, () => {
  const ids = () => [process.geteuid!(), process.getegid!(), process.getgroups!()];
  const before = ids();
  assert.deepEqual(asUser(NOBODY, ids), [65534, 65534, [65534]]);
  assert.deepEqual(ids(), before);
  const fault = new Error('in the work');
  assert.throws(
    () =>
      asUser(NOBODY, () => {
        throw fault;
      }),
    (error) => error === fault,
  );
  assert.deepEqual(ids(), before);
});

const clean = `Name:\tnode
Uid:\t65534\t65534\t65534\t65534
Gid:\t65534\t65534\t65534\t65534
Groups:\t 
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
`;

test('every id, group and capability that is left is found', () => {
  assert.deepEqual(privilegesIn(clean, NOBODY), []);
  const changes: [string, string][] = [
    ['Uid:\t65534\t65534\t65534', 'Uid:\t65534\t65534\t0'],
    ['Gid:\t65534', 'Gid:\t0'],
    ['Groups:\t ', 'Groups:\t0 27 '],
    ['CapPrm:\t0000000000000000', 'CapPrm:\t0000000000200000'],
    ['CapEff:\t0000000000000000', 'CapEff:\t0000000000000001'],
    ['CapAmb:\t0000000000000000', 'CapAmb:\t8000000000000000'],
    ['CapEff', 'CapOther'],
  ];
  for (const [from, to] of changes) assert.equal(privilegesIn(clean.replace(from, to), NOBODY).length, 1, to);
});

test('lookupUser reads the ids of an account, and knows when there is none', () => {
  const folder = mkdtempSync(join(tmpdir(), 'passwd-'));
  const path = join(folder, 'passwd');
  writeFileSync(path, 'root:x:0:0:root:/root:/bin/sh\n# note\n\nsvc-a:x:998:997::/var/lib/a:/usr/sbin/nologin\n');
  assert.deepEqual(lookupUser('svc-a', path), { uid: 998, gid: 997 });
  assert.equal(lookupUser('svc', path), undefined);
  assert.equal(lookupUser('', path), undefined);
  assert.equal(lookupUser('nobody at all'), undefined);
  rmSync(folder, { recursive: true });
});
