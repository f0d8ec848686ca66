/**
 * What somebody would do to run one thing and have it look like another: each is told as what it is, with the digest of
 * the bytes that ran, and the probe goes on. Mounts: attack-mounts.test.ts. Elsewhere: LD_PRELOAD and replaced libraries
 * (loads.test.ts), memfd, scripts and an exec from a thread (exec.test.ts), swaps in place (known-programs.test.ts).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, copyFileSync, linkSync, renameSync, writeFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Attack, createRange, digestOf } from './attack-kit.ts';
import { run, type SeenRow } from './probe-kit.ts';

const range = createRange();
const { folder, at, mkdir, tool, toolDigest, attack, shell, execOf } = range;
before(range.open);
after(range.close);

const pathIs = (path: string) => (row: SeenRow) => assert.equal(row.path, path);

const ATTACKS: readonly Attack[] = [
  {
    name: 'a file without a name (O_TMPFILE), run by its descriptor',
    commit: async () => {
      await attack('tmpfile', tool('nameless'), folder, 'nameless-stay');
      const check = ({ flagNames, package: name }: SeenRow) => {
        assert.ok(flagNames.includes('unlinked'), `${flagNames}`);
        assert.equal(name, '');
      };
      return [{ word: 'nameless-stay', sha256: digestOf(at('nameless')), check }];
    },
  },
  {
    name: 'a deleted file, run by its descriptor',
    commit: async () => {
      await attack('deleted', tool('deleted'), 'deleted');
      const check = ({ flagNames }: SeenRow) => assert.ok(flagNames.includes('unlinked'), `${flagNames}`);
      return [{ word: 'deleted', sha256: toolDigest('deleted'), check }];
    },
  },
  {
    name: 'another program under the process id of one that is just gone',
    commit: async () => {
      const { stdout } = await attack('reuse', 'file', tool('first'), tool('second'));
      const check = ({ pid }: SeenRow) => assert.equal(pid, Number(stdout));
      await differ('file-first', 'file-second-stay');
      return [
        { word: 'file-first', sha256: digestOf(at('first')), check },
        { word: 'file-second-stay', sha256: digestOf(at('second')), check },
      ];
    },
  },
  {
    name: 'a memfd under the process id of another that is just gone',
    commit: async () => {
      await attack('reuse', 'memfd', tool('memory-first'), tool('memory-second'));
      await differ('memfd-first', 'memfd-second-stay');
      return [
        { word: 'memfd-first', sha256: digestOf(at('memory-first')), orReason: ['vanished', 'changed'] },
        { word: 'memfd-second-stay', sha256: digestOf(at('memory-second')) },
      ];
    },
  },
  {
    name: 'a path of as many bytes as a call takes',
    commit: async () => {
      await attack('deep', tool('deep'), mkdir('deep.d'), 'deep');
      const check = ({ path, filename, flagNames }: SeenRow) => {
        assert.equal(path.length, 4095);
        assert.equal(path, filename);
        assert.ok(path.startsWith(at('deep.d/ddd')) && path.endsWith('ttt'));
        assert.ok(!flagNames.includes('truncated_path'));
      };
      return [{ word: 'deep', sha256: digestOf(at('deep')), check }];
    },
  },
  {
    name: 'a path that no call takes as a whole',
    commit: async () => {
      await attack('deeper', tool('deeper'), mkdir('deeper.d'), 'deeper');
      const check = ({ path, filename, flagNames }: SeenRow) => {
        assert.equal(filename, './tool');
        assert.ok(path.length > 3_800 && path.endsWith('ddd/tool'), path);
        assert.ok(flagNames.includes('truncated_path'));
      };
      return [{ word: 'deeper', sha256: digestOf(at('deeper')), check }];
    },
  },
  {
    name: 'a name that is no UTF-8',
    commit: async () => {
      await attack('odd', tool('odd'), folder, 'odd');
      return [{ word: 'odd', sha256: digestOf(at('odd')), check: pathIsBytes('\xff\n\xfe\x01') }];
    },
  },
  {
    name: '100,000 arguments',
    commit: async () => {
      await attack('many', tool('many'), 'many', '100000');
      const check = ({ argc, argv_bytes, argv, flagNames }: SeenRow) => {
        assert.deepEqual([argc, argv_bytes], [100_002, 'tool\0many\0'.length + 100_000 * 'argument\0'.length]);
        assert.ok(argv.startsWith('tool\0many\0argument\0') && argv.length > 8_000);
        assert.ok(flagNames.includes('truncated_argv'));
      };
      return [{ word: 'many', sha256: digestOf(at('many')), check }];
    },
  },
  {
    name: 'a relative name in a working directory that is gone',
    commit: async () => {
      tool('uphill');
      await shell('mkdir "$1/gone"; cd "$1/gone"; rmdir "$1/gone"; exec ../uphill uphill', folder);
      const check = ({ path, filename, cwd }: SeenRow) =>
        assert.deepEqual([path, filename, cwd], [at('uphill'), '../uphill', at('gone')]);
      return [{ word: 'uphill', sha256: digestOf(at('uphill')), check }];
    },
  },
  {
    name: 'a hard link, under a name of its own',
    commit: async () => {
      const sha256 = digestOf(tool('known'));
      linkSync(at('known'), at('twin'));
      await delay(50);
      await run(at('known'), ['known']);
      await run(at('twin'), ['twin']);
      const twin = ({ path, nlink }: SeenRow) => assert.deepEqual([path, nlink], [at('twin'), 2]);
      return [
        { word: 'known', sha256, check: pathIs(at('known')) },
        { word: 'twin', sha256, check: twin },
      ];
    },
  },
  {
    name: 'a shell under another name',
    commit: async () => {
      copyFileSync('/bin/sh', at('invoice'));
      writeFileSync(at('report'), `#!${at('invoice')}\nexit 0\n`);
      chmodSync(at('report'), 0o755);
      await delay(50);
      await run(at('report'));
      const script = await range.watched().row('load', ({ path }) => path === at('report'));
      assert.deepEqual([script.role, script.parent_path], ['script', at('invoice')]);
      assert.equal(script.sha256, digestOf(at('report')));
      const check = ({ path, filename, package: name }: SeenRow) =>
        assert.deepEqual([path, filename, name], [at('invoice'), at('report'), '']);
      // A shell's first argument is the script.
      return [{ word: at('report'), sha256: digestOf('/bin/sh'), check }];
    },
  },
  {
    name: 'a program that is replaced while it runs',
    commit: async () => {
      const before = digestOf(tool('swapped'));
      await delay(50);
      const child = spawn(at('swapped'), ['swapped-stay'], { stdio: 'ignore' });
      await once(child, 'spawn');
      assert.throws(() => appendFileSync(at('swapped'), 'x'), { code: 'ETXTBSY' });
      renameSync(tool('swapped.new', 'another'), at('swapped'));
      await run(at('swapped'), ['swapped-later']);
      await once(child, 'exit');
      return [
        { word: 'swapped-stay', sha256: before, check: pathIs(at('swapped')) },
        { word: 'swapped-later', sha256: toolDigest('another'), check: pathIs(at('swapped')) },
      ];
    },
  },
];

range.tryAll(ATTACKS);

function pathIsBytes(name: string) {
  return ({ path }: SeenRow) => assert.equal(path, `${folder}/${name}`);
}

/** Two images of one process id. */
async function differ(first: string, second: string): Promise<void> {
  const [a, b] = [await execOf(first), await execOf(second)];
  assert.equal(a.pid, b.pid);
  assert.notEqual(a.start_ns, b.start_ns);
  for (const one of [a, b])
    await range.watched().row('exit', ({ pid, start_ns }) => pid === one.pid && start_ns === one.start_ns);
}
