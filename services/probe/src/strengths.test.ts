/** Each strength on the running kernel: real files, real processes, described by BPF, read by the real code. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type BpfObject, loadBpfObject } from './bpf-object.ts';
import { createCachedReader } from './cached-bytes.ts';
import { openClock } from './clock.ts';
import { createDescriptors } from './descriptors.ts';
import { loadLibbpf, loadLibc } from './ffi.ts';
import type { FileState } from './file-identity.ts';
import { missingCapabilities } from './host.ts';
import { evidenceFrom, type Reading } from './reading.ts';

const OBJECT = fileURLToPath(new URL('../../../bpf/build/bintrail.bpf.o', import.meta.url));
const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-strengths-'));
const libc = skip ? undefined : loadLibc();
const clock = libc && openClock(libc);
let bpf: BpfObject;

function whyNotHere(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  const missing = missingCapabilities(readFileSync('/proc/self/status', 'utf8'));
  if (missing.length > 0) return `needs ${missing.join(', ')}`;
  try {
    accessSync(OBJECT);
    return undefined;
  } catch {
    return 'needs the built BPF object';
  }
}

before(() => {
  if (!skip) bpf = loadBpfObject(loadLibbpf(), libc!, OBJECT);
});
after(() => {
  if (!skip) bpf.close();
  rmSync(folder, { recursive: true });
});

type Run = { readonly child: ChildProcess; readonly file: FileState; readonly path: string; readonly tsNs: bigint };

/** Starts a program that sleeps, and takes down what an exec event would say of its file. */
async function start(name: string): Promise<Run> {
  const path = join(folder, name);
  copyFileSync('/bin/sleep', path);
  chmodSync(path, 0o755);
  await delay(50);
  const child = spawn(path, ['30'], { stdio: 'ignore' });
  await once(child, 'spawn');
  return { child, file: { ...describe(path), writecount: -1 }, path, tsNs: clock!.nowNs() };
}

function describe(path: string): FileState {
  const fd = openSync(path, constants.O_RDONLY);
  const state = bpf.describe(fd);
  closeSync(fd);
  return state!;
}

async function end({ child }: Run): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Reads the file as if fanotify had handed it over now; `during` runs between the two looks at it. */
async function read(path: string, during: () => void = () => {}): Promise<Reading> {
  const { promise, resolve } = Promise.withResolvers<Reading>();
  const cached = createCachedReader(libc!);
  const descriptors = createDescriptors({
    ...{ describe: bpf.describe, nowNs: clock!.nowNs, tickNs: clock!.tickNs, maxFileBytes: 1 << 30, rootDev: 0 },
    maxBytesPerS: undefined,
    readCached: (...file) => {
      during();
      return cached(...file);
    },
    ...{ silence: () => {}, onReleased: () => {}, namesFile: () => true },
    tell: (told) => told.kind === 'read' && resolve(told.reading),
  });
  descriptors.take(openSync(path, constants.O_RDONLY), process.pid);
  return promise;
}

function strength({ file, tsNs, child }: Run, reading: Reading): string {
  const stillRuns = () => child.exitCode === null && child.signalCode === null;
  const evidence = evidenceFrom({ file, tsNs, pid: child.pid! }, reading, clock!.tickNs, stillRuns);
  return evidence.digest_strength || evidence.digest_reason;
}

test('exact: nothing moved, and the file was older than a tick', { skip }, async () => {
  const run = await start('exact');
  await end(run);
  assert.equal(strength(run, await read(run.path)), 'exact');
});

test('metadata: its mode was changed, and the program is gone', { skip }, async () => {
  const run = await start('metadata');
  await end(run);
  chmodSync(run.path, 0o700);
  assert.equal(strength(run, await read(run.path)), 'metadata');
});

test('alive: its mode was changed, and the program still runs', { skip }, async () => {
  const run = await start('alive');
  chmodSync(run.path, 0o700);
  const reading = await read(run.path);
  assert.ok(reading.before.writecount < 0, 'the kernel lets nobody write');
  assert.equal(strength(run, reading), 'alive');
  await end(run);
});

test('racy: executed in the very moment of its last change', { skip }, async () => {
  const run = await start('racy');
  await end(run);
  assert.equal(
    strength({ ...run, file: { ...run.file, flags: 0 }, tsNs: run.file.ctime_ns }, await read(run.path)),
    'racy',
  );
});

test('writable: somebody has it open for writing while it is read', { skip }, async () => {
  const run = await start('writable');
  await end(run);
  const writer = openSync(run.path, constants.O_WRONLY);
  assert.equal(strength(run, await read(run.path)), 'writable');
  closeSync(writer);
});

test('changed: written between exec and reading, and while it is read', { skip }, async () => {
  const run = await start('changed');
  await end(run);
  const during = await read(run.path, () => appendFileSync(run.path, 'more'));
  assert.equal(strength(run, during), 'changed');
  assert.equal(strength(run, await read(run.path)), 'changed');
});
