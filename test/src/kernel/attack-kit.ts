/** Where attacks are tried: a tool that can be had with any bytes, ways to run it, and what the probe said of it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run, type SeenRow, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const ATTACK_SOURCE = fileURLToPath(new URL('./attack.c', import.meta.url));
/** Whoever has `stay` in its word runs for long enough to be looked at. */
const TOOL_SOURCE =
  '#include <string.h>\n#include <unistd.h>\nint main(int c, char **v) { return c > 1 && strstr(v[1], "stay") ? usleep(700000) : 0; }\n';

export const skip = whyNotHere() ?? false;

/** What is told of the exec that has this word as its argument. */
export type Told = {
  readonly word: string;
  readonly sha256: string;
  /** Instead of the digest, where the process was gone before its file could be read. */
  readonly orReason?: readonly string[];
  readonly check?: (row: SeenRow) => void;
};

export type Attack = {
  readonly name: string;
  readonly why?: () => string | undefined;
  /** Does it; returns what must be told of it. */
  readonly commit: () => Promise<readonly Told[]>;
};

export type Range = {
  readonly folder: string;
  readonly at: (name: string) => string;
  readonly mkdir: (name: string) => string;
  readonly watched: () => Watched;
  readonly open: () => Promise<void>;
  readonly close: () => Promise<void>;
  /** The tool with bytes of its own, under this name. */
  readonly tool: (name: string, trailer?: string) => string;
  /** Of such a tool, also when it is gone. */
  readonly toolDigest: (trailer: string) => string;
  readonly attack: (...args: readonly string[]) => Promise<{ stdout: string }>;
  readonly shell: (script: string, ...args: string[]) => Promise<unknown>;
  /** The same in a mount namespace that goes with the command. */
  readonly apart: (script: string, ...args: string[]) => Promise<unknown>;
  /** The exec whose argument this word is. */
  readonly execOf: (word: string) => Promise<SeenRow>;
  /** Tries each in a test of its own; at last, whether the probe goes on. */
  readonly tryAll: (attacks: readonly Attack[]) => void;
};

export const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

export function createRange(): Range {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-attacks-'));
  const at = (name: string) => join(folder, name);
  let watched: Watched | undefined;
  const open = async () => {
    if (skip) return;
    writeFileSync(at('tool.c'), TOOL_SOURCE);
    await run('cc', ['-O1', '-static', '-o', at('tool'), at('tool.c')]);
    await run('cc', ['-O1', '-static', '-o', at('attack'), ATTACK_SOURCE]);
    watched = await watchKernel();
  };
  const close = async () => {
    await watched?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const tool = (name: string, trailer = name) => {
    copyFileSync(at('tool'), at(name));
    chmodSync(at(name), 0o755);
    appendFileSync(at(name), `#${trailer}`);
    return at(name);
  };
  const execOf = (word: string) => watched!.row('exec', isRunWith(word));
  const range: Range = {
    ...{ folder, at, open, close, tool, execOf, watched: () => watched! },
    mkdir: (name) => {
      mkdirSync(at(name));
      return at(name);
    },
    toolDigest: (trailer) =>
      createHash('sha256')
        .update(readFileSync(at('tool')))
        .update(`#${trailer}`)
        .digest('hex'),
    attack: (...args) => run(at('attack'), [...args]),
    shell: (script, ...args) => run('sh', ['-ec', script, 'sh', ...args]),
    apart: (script, ...args) => run('unshare', ['--mount', 'sh', '-ec', script, 'sh', ...args]),
    tryAll: (attacks) => {
      // Most of each is waiting until its rows are sent.
      describe('told as what it is', { concurrency: 4 }, () => {
        for (const attack of attacks) tryOne(range, attack);
      });
      tryAfterwards(range);
    },
  };
  return range;
}

/** `attack` itself has the word that says what to do in the same place. */
const isRunWith = (word: string) => (row: SeenRow) => row.argv.split('\0')[1] === word && !row.path.endsWith('/attack');

function tryOne({ execOf, watched }: Range, { name, why, commit }: Attack): void {
  test(name, { skip: skip || (why?.() ?? false), timeout: 60_000 }, async (t) => {
    const told = await commit();
    const words: string[] = [];
    for (const { word, sha256, orReason = [], check } of told) {
      const row = await execOf(word);
      const outcome = `${word}: ${row.digest_source} ${row.digest_strength || row.digest_reason}`;
      words.push(outcome);
      if (row.sha256 === '') assert.ok(orReason.includes(row.digest_reason), outcome);
      else assert.equal(row.sha256, sha256, outcome);
      check?.(row);
      const all = watched()
        .rows()
        .filter((row) => row.event === 'exec' && isRunWith(word)(row));
      assert.equal(all.length, 1, `${word} is told once`);
    }
    t.diagnostic(words.join(', '));
  });
}

function tryAfterwards({ tool, execOf, watched }: Range): void {
  test('after all of it the probe goes on, and nothing was lost or unreadable to it', {
    skip,
    timeout: 60_000,
  }, async () => {
    await run(tool('afterwards'), ['afterwards']);
    await execOf('afterwards');
    await watched().stop();
    const lost = watched()
      .rows()
      .filter(({ event, place, lost }) => event === 'loss' && place !== 'hash_queue' && lost > 0n);
    assert.deepEqual(
      lost.map(({ event_type, place, lost }) => `${lost} ${event_type} at ${place}`),
      [],
    );
  });
}
