import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch } from './launch.mjs';

const COUNT_SIGNALS = `let interrupts = 0;
process.on('SIGINT', () => { interrupts += 1; console.log('interrupted'); });
process.on('SIGTERM', () => { console.log('interrupts: ' + interrupts); process.exit(3); });
setInterval(() => {}, 1000);
console.log('ready');`;

/** Starts a program, acts on each line it prints, and tells how it ended and what it printed. */
async function run(script, actions, options = {}) {
  let printed = '';
  const onChild = (child) => {
    child.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text;
      for (const line of text.split('\n')) actions[line]?.(child);
    });
  };
  const stdio = ['ignore', 'pipe', 'inherit'];
  return { ...(await launch(process.execPath, ['-e', script], { stdio, onChild, ...options })), printed };
}

test('the same signal twice at once, as npm makes of one Ctrl-C, is delivered once', async () => {
  const ended = await run(COUNT_SIGNALS, {
    ready: () => {
      process.emit('SIGINT', 'SIGINT');
      process.emit('SIGINT', 'SIGINT');
    },
    interrupted: () => process.emit('SIGTERM', 'SIGTERM'),
  });
  assert.match(ended.printed, /^interrupts: 1$/m);
  assert.deepEqual([ended.code, ended.signal, ended.forwarded], [3, null, 'SIGTERM']);
});

test('a group is ended with all that its program started', async () => {
  const script = `const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ['-e', 'console.log("grandchild " + process.pid); setInterval(() => {}, 1000)'],
      { stdio: 'inherit' });
    process.on('SIGTERM', () => {});
    child.once('exit', (code, signal) => { console.log('grandchild ended by ' + signal); process.exit(0); });`;
  const started = process.listenerCount('SIGTERM');
  const onChild = (child) => {
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      if (text.startsWith('grandchild ') && !text.includes('ended')) process.emit('SIGTERM', 'SIGTERM');
    });
  };
  let output = '';
  await launch(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'], group: true, onChild });
  assert.match(output, /grandchild ended by SIGTERM/);
  assert.equal(process.listenerCount('SIGTERM'), started, 'no listener is left behind');
});

test('a program that cannot be started is an error, not a silent end', async () => {
  await assert.rejects(launch('/nonexistent/program', [], { stdio: 'ignore' }), { code: 'ENOENT' });
});
