/** A FUSE server that stops answering takes nothing of the probe with it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startProbeApart } from './probe-apart.ts';
import { run, watchKernel, whyNotHere } from './probe-kit.ts';

const SERVER_SOURCE = fileURLToPath(new URL('./silent-fuse.c', import.meta.url));
const skip = whyNotHere() ?? (existsSync('/dev/fuse') ? false : 'needs /dev/fuse');

test('an exec from a FUSE server that then falls silent is `remote_fs`, and nobody waits for it', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const { folder, at } = await buildServer();
  const server = spawn(at('silent-fuse'), [at('mnt'), at('noop')], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    // Without its server the filesystem answers everything, with an error: whoever hangs in it is let go.
    server.kill('SIGKILL');
    await run('umount', ['-l', at('mnt')]);
    rmSync(folder, { recursive: true });
  });
  await once(server.stdout, 'data');

  // Mounted before the probe starts: it must not be marked, nor looked into.
  const watched = await watchKernel();
  t.after(watched.stop);
  await run(at('mnt/tool'), ['answered']);
  server.kill('SIGUSR1');
  // Forked by a shell: Node itself waits until its child has executed, and this one never does.
  await run('/bin/sh', ['-c', `(exec ${at('mnt/tool')} silent) </dev/null >/dev/null 2>&1 &`]);

  const answered = await watched.row('exec', ({ argv }) => argv === `${at('mnt/tool')}\0answered\0`);
  assert.equal(answered.digest_reason, 'remote_fs');
  assert.equal(answered.sha256, '');
  for (const word of ['one', 'two', 'three']) {
    await run(at('noop'), [word]);
    const other = await watched.row('exec', ({ argv }) => argv === `${at('noop')}\0${word}\0`);
    assert.notEqual(other.sha256, '', 'other programs go on being hashed');
  }
  assert.ok(!watched.rows().some(({ argv }) => argv === `${at('mnt/tool')}\0silent\0`), 'that one never ran');
});

test('a filesystem mounted below a server that falls silent keeps nobody from marking the next one', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const { folder, at } = await buildServer();
  // In a mount namespace of its own: nobody else's look at the mounts ends there.
  const below = `"$1/silent-fuse" "$1/mnt" "$1/noop" & echo $! > "$1/server"
    until mountpoint -q "$1/mnt"; do sleep 0.02; done
    mkdir "$1/memory" "$1/later"; mount -t tmpfs memory "$1/memory"; touch "$1/memory/file"
    mount --bind "$1/memory/file" "$1/mnt/tool"; umount -l "$1/memory"; shift; exec "$@"`;
  const probe = await startProbeApart(at('home'), ['unshare', '--mount', 'sh', '-ec', below, 'sh', folder]);
  const server = Number(readFileSync(at('server'), 'utf8'));
  t.after(() => {
    process.kill(server, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  process.kill(server, 'SIGUSR1');
  // Marked within a moment, however long that is on a busy machine: each that runs is a file of its own.
  const later = `mount -t tmpfs later "$1/later"
    for i in 1 2 3 4 5 6 7 8; do cp "$1/noop" "$1/later/$i"; sleep 0.5; "$1/later/$i" later; done`;
  await run('nsenter', ['--mount', `--target=${probe.pid}`, 'sh', '-ec', later, 'sh', folder]);
  const rows = await probe.stop(['exec']);
  const ran = rows.filter(({ argv }) => String(argv).endsWith('\0later\0'));
  assert.equal(ran.length, 8);
  // `cache` where the reading that the mark gave began before the program did: nothing else reads what never ran.
  const { digest_source, digest_reason } = ran.at(-1)!;
  assert.ok(['held', 'cache'].includes(String(digest_source)), `${digest_source} ${digest_reason}`);
});

async function buildServer() {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-fuse-'));
  const at = (name: string) => join(folder, name);
  mkdirSync(at('mnt'));
  writeFileSync(at('noop.c'), 'void _start(void) { __asm__ volatile("syscall" : : "a"(231), "D"(0)); }\n');
  await run('cc', ['-O1', '-static', '-nostdlib', '-o', at('noop'), at('noop.c')]);
  await run('cc', ['-O1', '-o', at('silent-fuse'), SERVER_SOURCE]);
  return { folder, at };
}
