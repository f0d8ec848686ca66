/** The look at all processes, on the running kernel: who is in it, and who is not. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-alive-'));
const started: ChildProcess[] = [];

// Says a line once its state is reached: a thread that outlives its leader, and a dead child nobody waits for.
const SOURCES: Record<string, string> = {
  leaderless: `#include <pthread.h>
#include <unistd.h>
static void *stays(void *x) { usleep(100000); write(1, "\\n", 1); pause(); return x; }
int main(void) { pthread_t t; pthread_create(&t, 0, stays, 0); pthread_create(&t, 0, stays, 0); pthread_exit(0); }
`,
  zombie: `#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  siginfo_t info; pid_t child = fork();
  if (!child) execl("/bin/true", "true", (char *)0);
  waitid(P_PID, child, &info, WEXITED | WNOWAIT);
  printf("%d\\n", child); fflush(stdout); pause(); return 0;
}
`,
};

before(async () => {
  if (skip) return;
  for (const [name, source] of Object.entries(SOURCES)) {
    writeFileSync(join(folder, `${name}.c`), source);
    await run('cc', ['-O1', '-pthread', '-o', join(folder, name), join(folder, `${name}.c`)]);
  }
});
after(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

async function start(name: string): Promise<{ pid: number; line: string }> {
  const child = spawn(join(folder, name), { stdio: ['ignore', 'pipe', 'ignore'] });
  started.push(child);
  const [line] = await once(child.stdout!, 'data');
  return { pid: child.pid!, line: String(line) };
}

test('a look holds every living process once, and says how many there are', { skip, timeout: 60_000 }, async () => {
  const [leaderless, zombie] = [await start('leaderless'), await start('zombie')];
  const watched = await watchKernel();
  try {
    const self = await watched.row('alive', ({ pid }) => pid === process.pid);
    const look = watched.rows().filter(({ event, ts }) => event === 'alive' && ts === self.ts);
    assert.equal(look.length, self.images);
    assert.equal(new Set(look.map(({ pid }) => pid)).size, look.length);
    const pids = look.map(({ pid }) => pid);
    assert.ok(pids.includes(leaderless.pid), 'lives on in its threads');
    assert.ok(pids.includes(zombie.pid));
    assert.ok(!pids.includes(Number(zombie.line)), 'has ended, though nobody waited for it');
    const found = await watched.row('exec', ({ pid }) => pid === process.pid);
    assert.deepEqual(
      [found.start_ns, found.self_exec_id],
      [self.start_ns, self.self_exec_id],
      'one name for one image',
    );
  } finally {
    await watched.stop();
  }
  const heartbeats = watched.rows().filter(({ event }) => event === 'heartbeat');
  assert.deepEqual([heartbeats[0]!.mode, heartbeats.at(-1)!.mode], ['live', 'stopping'], 'takes its leave');
});
