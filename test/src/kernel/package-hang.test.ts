/** A container whose package database lies behind a FUSE server that never answers: its rows go without, nobody hangs. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadBpfObject } from '@bintrail/probe/bpf-object.ts';
import { loadLibbpf, loadLibc } from '@bintrail/probe/ffi.ts';
import { inodeKey } from '@bintrail/probe/file-identity.ts';
import {
  BUSYBOX,
  makeImage,
  type OverlayRoot,
  startInOverlay,
  whyNoOverlay,
} from '@bintrail/probe/package-evidence/overlay-root.fixture.ts';
import { createPackageReader } from '@bintrail/probe/package-evidence/package-reader.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { BPF_OBJECT, run, whyNotHere } from './probe-kit.ts';

const SERVER_SOURCE = fileURLToPath(new URL('./silent-fuse.c', import.meta.url));
const skip = whyNotHere() ?? whyNoOverlay() ?? (existsSync('/dev/fuse') ? false : 'needs /dev/fuse');
const STATUS = 'Package: busybox\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n';

test('questions about a root that hangs end in time, and others are answered again once it lets go', {
  skip,
  timeout: 90_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-hang-'));
  const at = (name: string) => join(folder, name);
  mkdirSync(at('mnt'));
  writeFileSync(at('content'), 'x');
  await run('cc', ['-O1', '-o', at('silent-fuse'), SERVER_SOURCE]);
  const server = spawn(at('silent-fuse'), [at('mnt'), at('content')], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    server.kill('SIGKILL');
    await run('umount', ['-l', at('mnt')]);
    rmSync(folder, { recursive: true });
  });
  await once(server.stdout, 'data');
  const bpf = loadBpfObject(loadLibbpf(), loadLibc(), BPF_OBJECT);
  t.after(bpf.close);
  const log = createLog({ level: 'fatal', name: 'test' });
  const reader = createPackageReader({ describeProgramFd: bpf.describeProgramFd }, log);
  t.after(reader.close);

  const image = makeImage(folder, { 'var/lib/dpkg/status': STATUS, 'var/lib/dpkg/info/busybox.list': `${BUSYBOX}\n` });
  const good = await startInOverlay(folder, image);
  const hangs = await startInOverlay(folder, image, { prepare: `mount --bind ${at('mnt')} var/lib` });
  t.after(() => [good, hangs].map(({ stop }) => stop()));
  const ask = ({ pid, mountNs }: OverlayRoot) => {
    const fd = openSync(`/proc/${pid}/root${BUSYBOX}`, 'r');
    const inode = inodeKey(bpf.describe(fd)!);
    closeSync(fd);
    return reader.ask({ path: BUSYBOX, inode, where: { pids: [pid], mountNs } });
  };
  assert.equal((await ask(good)).owners[0]?.package, 'busybox');
  server.kill('SIGUSR1');

  let ticks = 0;
  const ticking = setInterval(() => ticks++, 10);
  const stuck = await ask(hangs);
  clearInterval(ticking);
  assert.deepEqual([stuck.outcome, stuck.owners], ['unread', []]);
  assert.ok(ticks > 20, `the event loop went on (${ticks} ticks)`);
  const beganMs = performance.now();
  for (let asked = 0; asked < 100; asked++) assert.equal((await ask(good)).outcome, 'unread');
  assert.ok(performance.now() - beganMs < 4_000, 'nobody waits for a thread that is known to hang');

  server.kill('SIGKILL');
  for (let triesLeft = 100; (await ask(good)).outcome !== 'answered'; triesLeft--) {
    assert.ok(triesLeft > 0, 'it is asked again');
    await delay(50);
  }
});
