/** What is done to a program whose digest is known, and which the kernel was asked to hand over no more. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { run, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-known-'));
const memory = join(folder, 'tmpfs');
const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const STRONG = ['exact', 'alive'];
/** Long enough for a change to be settled. */
const SETTLE_MS = 50;
let watched: Watched;

const SOURCES: Record<string, string> = {
  'noop.c': 'int main(void) { return 0; }\n',
  // Turns the last byte over, through a shared mapping that is read before it is written.
  'scribble.c': `#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct stat at;
  int fd = open(argv[argc - 1], O_RDWR);
  if (fd < 0 || fstat(fd, &at)) return 1;
  volatile char *bytes = mmap(0, at.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) return 1;
  bytes[at.st_size - 1] = bytes[at.st_size - 1] ^ 1;
  return munmap((void *)bytes, at.st_size) || close(fd);
}
`,
};

before(async () => {
  if (skip) return;
  for (const [name, source] of Object.entries(SOURCES)) {
    writeFileSync(join(folder, name), source);
    await run('cc', ['-O1', '-o', join(folder, name.slice(0, -2)), join(folder, name)]);
  }
  mkdirSync(memory);
  await run('mount', ['-t', 'tmpfs', 'known', memory]);
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  if (!skip) await run('umount', ['--lazy', memory]).catch(() => {});
  rmSync(folder, { recursive: true, force: true });
});

function program(path: string, trailer: string): string {
  copyFileSync(join(folder, 'noop'), path);
  chmodSync(path, 0o755);
  appendFileSync(path, trailer);
  return path;
}

const changes: Record<string, (path: string) => unknown> = {
  'another renamed over it': (path) => renameSync(program(`${path}.new`, 'second--'), path),
  'overwritten in place, its times put back': (path) => {
    const { atime, mtime } = statSync(path);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    utimesSync(path, atime, mtime);
  },
  'overwritten through a shared mapping': (path) => run(join(folder, 'scribble'), [path]),
  'its mode changed': (path) => chmodSync(path, 0o711),
  'its time of change put back': (path) => utimesSync(path, 1, 1),
};

// All at a time: each has a program of its own, and mostly waits for rows.
describe('known, then changed: no later exec has a digest that claims to be certain and is wrong', {
  skip,
  concurrency: true,
}, () => {
  for (const [place, at] of [
    ['the root filesystem', () => folder],
    ['tmpfs', () => memory],
  ] as const) {
    for (const [index, [what, change]] of Object.entries(changes).entries()) {
      test(`${what}, on ${place}`, { timeout: 30_000 }, async (t) => {
        const path = program(join(at(), `program-${index}`), 'first---');
        const seen: string[] = [];
        const runs = async (word: string) => {
          await run(path, [word]);
          const row = await watched.row('exec', ({ argv }) => argv.startsWith(`${path}\0${word}\0`));
          seen.push(`${word}: ${row.digest_source} ${row.digest_strength || row.digest_reason}`);
          if (STRONG.includes(row.digest_strength)) assert.equal(row.sha256, digestOf(path), `${word}: ${seen.at(-1)}`);
          return row;
        };
        await delay(SETTLE_MS);
        for (const word of ['first', 'second', 'third']) assert.equal((await runs(word)).sha256, digestOf(path), word);
        await change(path);
        await runs('at-once');
        await delay(SETTLE_MS);
        for (const word of ['later', 'again']) assert.equal((await runs(word)).sha256, digestOf(path), word);
        await change(path);
        await delay(SETTLE_MS);
        await runs('changed-again');
        t.diagnostic(seen.join(', '));
      });
    }
  }
});
