import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

const url = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);

/** Runs `body` in a process that has a `shutdown`, and prints 'ready' once its handlers are there. */
async function start(t: TestContext, body: string, boundMs = 60_000) {
  const script = `
    import { createLog } from ${url('./log.ts')};
    import { createShutdown } from ${url('./shutdown.ts')};
    const log = createLog({ level: 'info', name: 'test', write: (line) => process.stdout.write(line) });
    const shutdown = createShutdown({ log, boundMs: ${boundMs} });
    const say = (word) => log.info(word);
    const never = () => new Promise(() => {});
    setInterval(() => {}, 1000);
    ${body}
    say('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const said: string[] = [];
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    said.push(JSON.parse(line).msg);
    if (said.includes('ready')) resolve();
  });
  const exited = once(child, 'close').then(([code]) => code as number);
  await ready;
  return { child, said, exited };
}

async function signalUntilExit(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  while (child.exitCode === null && child.kill(signal)) await delay(50);
}

const closers = `
  shutdown.onClose('first', () => say('closed first'));
  shutdown.onClose('second', async () => { await new Promise((resolve) => setTimeout(resolve, 20)); say('closed second'); });`;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} closes in reverse order and exits with 0`, async (t) => {
    const { child, said, exited } = await start(
      t,
      `${closers} shutdown.signal.addEventListener('abort', () => say('told'));`,
    );
    child.kill(signal);
    assert.equal(await exited, 0);
    assert.deepEqual(said, ['ready', 'closing', 'told', 'closed second', 'closed first']);
  });
}

test('a signal that arrives twice at once, as from terminal and parent, still closes in order', async (t) => {
  const { child, said, exited } = await start(t, closers);
  child.kill('SIGINT');
  child.kill('SIGTERM');
  assert.equal(await exited, 0);
  assert.deepEqual(said, ['ready', 'closing', 'closed second', 'closed first']);
});

test('a second signal while closing hangs exits at once with 128 + its number', async (t) => {
  const { child, said, exited } = await start(t, `${closers} shutdown.onClose('third', never);`);
  await signalUntilExit(child, 'SIGINT');
  assert.equal(await exited, 130);
  assert.deepEqual(said, ['ready', 'closing']);
});

test('closing that takes longer than its bound ends with 1', async (t) => {
  const { child, said, exited } = await start(t, `${closers} shutdown.onClose('third', never);`, 50);
  child.kill('SIGTERM');
  assert.equal(await exited, 1);
  assert.deepEqual(said, ['ready', 'closing', 'closing takes too long, ending now']);
});

test('a closer that fails does not keep the others from closing, and is seen in the exit code', async (t) => {
  const { child, said, exited } = await start(
    t,
    `${closers} shutdown.onClose('third', () => { throw new Error('no'); });`,
  );
  child.kill('SIGTERM');
  assert.equal(await exited, 1);
  assert.deepEqual(said, ['ready', 'closing', 'could not close', 'closed second', 'closed first']);
});

test('fail closes in order and exits with 1; close with the code it is given', async (t) => {
  const failed = await start(
    t,
    `${closers} setTimeout(() => { shutdown.fail(new Error('broke')); shutdown.close(3); }, 10);`,
  );
  assert.equal(await failed.exited, 1);
  assert.deepEqual(failed.said, ['ready', 'ending after a failure', 'closed second', 'closed first']);
  const closed = await start(t, `setTimeout(() => shutdown.close(3), 10);`);
  assert.equal(await closed.exited, 3);
});
