/** For what the kernel wakes a probe that looks into the rings by itself. Other programs of this machine ring as well. */
import assert from 'node:assert/strict';
import { closeSync, copyFileSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type BpfObject, loadBpfObject } from '@bintrail/probe/bpf-object.ts';
import { loadLibbpf, loadLibc } from '@bintrail/probe/ffi.ts';
import { emptyBuffer, openRecordBuffer, recordView } from '@bintrail/probe/record-buffer.ts';
import { decodeExecRecord } from '@bintrail/probe/records.ts';
import { EPOLLET, EPOLLIN, openWakeup, type Wakeup } from '@bintrail/probe/wakeup.ts';
import { BPF_OBJECT, run, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-bell-'));
const MOST_TRIES = 200;
let bpf: BpfObject;
let wakeup: Wakeup;

before(() => {
  if (skip) return;
  bpf = loadBpfObject(loadLibbpf(), loadLibc(), BPF_OBJECT);
  bpf.attach();
  wakeup = openWakeup(loadLibc());
  for (const fd of bpf.ringFds) wakeup.watch(fd, EPOLLIN | EPOLLET);
});

after(() => {
  if (!skip) {
    wakeup.close();
    bpf.close();
  }
  rmSync(folder, { recursive: true });
});

const arrived = openRecordBuffer(8_192, 4 * 1024 * 1024);

/** The programs whose execs have come since the last call. */
function drained(): Set<string> {
  emptyBuffer(arrived);
  bpf.ring.drain(arrived);
  const records = Array.from({ length: arrived.count }, (_, index) => recordView(arrived, index));
  return new Set(records.flatMap((record) => decodeExecRecord(record, 0n)?.path ?? []));
}

/** Runs a program, as one who begins to look, and says whether anything rang until then. */
async function rings(program: string, gathering = true): Promise<boolean> {
  await wakeup.wait(0);
  bpf.bell.setGathering(true);
  if (!gathering) bpf.bell.setGathering(false);
  // Last: a bell that rings from here on is still to be heard.
  drained();
  await run(program, []);
  const ready = await wakeup.wait(0);
  assert.ok(drained().has(program), 'it is in the ring, rung for or not');
  return ready.length > 0;
}

function noteKnown(program: string): void {
  const fd = openSync(program, 'r');
  const { dev, generation, ino, ctime_ns } = bpf.describe(fd)!;
  closeSync(fd);
  const words = new Uint32Array(6);
  const view = new DataView(words.buffer);
  view.setUint32(0, dev, true);
  view.setUint32(4, generation, true);
  view.setBigUint64(8, ino, true);
  view.setBigUint64(16, ctime_ns, true);
  bpf.bell.noteKnown(words, 0, statSync('/proc/self/ns/mnt').ino);
}

function copyOfTrue(name: string): string {
  const path = join(folder, name);
  copyFileSync('/usr/bin/true', path);
  return path;
}

test('a program that is not known rings each time, whoever looks by himself', { skip }, async () => {
  const program = copyOfTrue('unknown');
  for (let tries = 0; tries < 20; tries++) assert.equal(await rings(program), true);
});

test('a known one does not, until nobody looks by himself', { skip }, async () => {
  const program = copyOfTrue('known');
  noteKnown(program);
  let triesLeft = MOST_TRIES;
  while (await rings(program)) assert.ok(triesLeft-- > 0, 'it rang each time');
  for (let tries = 0; tries < 20; tries++) assert.equal(await rings(program, false), true);
});

test('a known one that has changed rings', { skip }, async () => {
  const program = copyOfTrue('changed');
  noteKnown(program);
  copyFileSync('/usr/bin/false', program);
  copyFileSync('/usr/bin/true', program);
  assert.equal(await rings(program), true);
});
