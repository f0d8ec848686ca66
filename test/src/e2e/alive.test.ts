/** A probe killed without a word, and what ended meanwhile: the next one finds who still runs, and nobody twice. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { allGone, killNow, type Life, partsOn, startLife } from '../drills/system.ts';
import { eventually, whyNotHere } from './bintrail.ts';

const run = promisify(execFile);
const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-alive-'));
const home = join(folder, 'home');
const program = join(folder, 'dozes');
const dozing: ChildProcess[] = [];
let life: Life | undefined;

after(async () => {
  for (const child of dozing) child.kill('SIGKILL');
  await life?.stop();
  rmSync(folder, { recursive: true });
});

async function compile(): Promise<string> {
  writeFileSync(
    join(folder, 'dozes.c'),
    `#include <unistd.h>\nint main(void) { pause(); return ${process.pid % 200}; }\n`,
  );
  await run('cc', ['-o', program, join(folder, 'dozes.c')]);
  return createHash('sha256').update(readFileSync(program)).digest('hex');
}

async function doze(): Promise<ChildProcess> {
  const child = spawn(program, { stdio: 'ignore' });
  dozing.push(child);
  await once(child, 'spawn');
  return child;
}

test('what ended while no probe watched runs no more; what lives on still runs, once', {
  skip,
  timeout: 180_000,
}, async () => {
  const sha256 = await compile();
  life = startLife(home, {});
  await life.isUp;
  const [ends, stays] = [await doze(), await doze()];
  const running = async () => {
    const { status, json } = await life!.call('GET', `/v1/binaries/${sha256}`);
    return status === 200 ? { ...json.running, exec_count: json.exec_count } : undefined;
  };
  await eventually('both run', 20_000, async () => ((await running())?.count === 2 ? true : undefined));

  const parts = partsOn(home);
  killNow(parts.find(({ name }) => name === 'probe')!.pid);
  await allGone(home, parts, 60_000);
  ends.kill('SIGKILL');
  await once(ends, 'exit');

  life = startLife(home, {});
  await life.isUp;
  // The first look of the new probe comes with its start; before it is stored, the old one still speaks for both.
  const now = await eventually('one runs', 30_000, async () => {
    const found = await running();
    return found?.processes.length === 1 ? found : undefined;
  });
  assert.deepEqual([now.count, now.stale_count, now.exec_count], [1, 0, 2]);
  assert.deepEqual([now.processes[0].pid, now.processes[0].stale], [stays.pid, false]);
  const gone = await life.call('GET', `/v1/events?type=exec&pid=${ends.pid}&path=${encodeURIComponent(program)}`);
  const process = await life.call('GET', `/v1/processes/${encodeURIComponent(gone.json.items[0].exec_id)}`);
  assert.deepEqual([process.json.running, process.json.exit], [false, null], 'its exit was never seen');
  const { json } = await life.call('GET', `/v1/events?type=exec&path=${encodeURIComponent(program)}`);
  assert.deepEqual(
    json.items.map(({ pid, flags }: { pid: number; flags: string[] }) => [pid, flags]).sort(),
    [ends.pid, stays.pid].map((pid) => [pid, []]).sort(),
  );
});
