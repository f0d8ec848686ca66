/** Mounts that have one file look like another, or are gone in a moment: what is told is the file that ran. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Attack, createRange, digestOf } from './attack-kit.ts';
import { run, type SeenRow } from './probe-kit.ts';

const range = createRange();
const { folder, at, mkdir, tool, toolDigest, shell, apart } = range;
before(range.open);
after(range.close);

const RARE = '/usr/bin/chcon';
const hasDpkg = () => (existsSync('/var/lib/dpkg/info/coreutils.md5sums') ? undefined : 'needs Debian’s coreutils');
const pathIs = (path: string) => (row: SeenRow) => assert.equal(row.path, path);

const ATTACKS: readonly Attack[] = [
  {
    name: 'a file mounted over a program of a package',
    why: hasDpkg,
    commit: async () => {
      // A program that nobody else runs meanwhile: everyone sees this mount.
      await shell(`mount --bind "$1" "$2"; "$2" bound-stay || true; ${UMOUNT}`, tool('usurper'), RARE);
      const check = ({ path, package: name, package_match }: SeenRow) => {
        assert.deepEqual([path, package_match], [RARE, 'mismatch']);
        assert.match(name, /^dpkg:coreutils:/);
      };
      return [{ word: 'bound-stay', sha256: digestOf(at('usurper')), check }];
    },
  },
  {
    name: 'the same in a mount namespace of its own: no package explains it',
    why: hasDpkg,
    commit: async () => {
      await apart('mount --bind "$1" /usr/bin/true; exec /usr/bin/true apart', tool('usurper-apart'));
      const check = ({ path, package: name }: SeenRow) => assert.deepEqual([path, name], ['/usr/bin/true', '']);
      return [{ word: 'apart', sha256: digestOf(at('usurper-apart')), check }];
    },
  },
  {
    name: 'a path that leads in a circle where the probe is',
    commit: async () => {
      symlinkSync('circle', at('circle'));
      const script = `exec 3<"$0"; mount -t tmpfs none "$1"; mkdir "$1/circle"; cat <&3 >"$1/circle/tool"
        chmod +x "$1/circle/tool"; exec "$1/circle/tool" circling`;
      await run('unshare', ['--mount', 'sh', '-ec', script, tool('circling'), folder]);
      return [
        {
          word: 'circling',
          sha256: digestOf(at('circling')),
          orReason: ['vanished'],
          check: pathIs(at('circle/tool')),
        },
      ];
    },
  },
  {
    name: 'a program of a package mounted over another name',
    why: hasDpkg,
    commit: async () => {
      await apart('mount --bind /usr/bin/true "$1"; exec "$1" laundered', tool('laundered'));
      const check = ({ path, package: name }: SeenRow) => assert.deepEqual([path, name], [at('laundered'), '']);
      return [{ word: 'laundered', sha256: digestOf('/usr/bin/true'), check }];
    },
  },
  {
    name: 'a link in the root of another process (/proc/PID/root)',
    commit: async () => {
      mkdir('private');
      const script = `mount -t tmpfs none "$1/private"; cp "$1/rooted" "$1/private/rooted"
        ln -s rooted "$1/private/link"; mount --bind "$1/rooted" "$1/tool"; echo ready; exec sleep 30`;
      const host = spawn('unshare', ['--mount', 'sh', '-ec', script, 'sh', folder.toString()], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      tool('rooted');
      await once(host.stdout, 'data');
      const root = `/proc/${host.pid}/root`;
      await shell('exec "$1" rooted-stay', join(root, at('private/link')));
      await shell('exec "$1" mounted-there', join(root, at('tool')));
      host.kill();
      const link = ({ path, filename }: SeenRow) =>
        assert.deepEqual([path, filename], [at('private/rooted'), join(root, at('private/link'))]);
      return [
        { word: 'rooted-stay', sha256: digestOf(at('rooted')), check: link },
        { word: 'mounted-there', sha256: digestOf(at('rooted')), check: pathIs(at('tool')) },
      ];
    },
  },
  {
    name: 'a filesystem mounted under a name that is no UTF-8',
    commit: async () => {
      // Marked within a moment, however long that is on a busy machine: each that runs is a file of its own.
      const words = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => `unreadable-${number}`);
      const script = `d=$(printf '%s/\\377\\376' "$1"); mkdir "$d"; mount -t tmpfs none "$d"; tool=$2; shift 2
        for word; do cp "$tool" "$d/$word"; sleep 0.5; "$d/$word" "$word"; done; umount -l "$d"`;
      await shell(script, folder, tool('unreadable'), ...words);
      return words.map((word) => {
        const check = ({ path, digest_source }: SeenRow) => {
          assert.equal(path, `${folder}/\xff\xfe/${word}`);
          // Handed over at last: by its name, or by its process, it could not have been had so soon.
          if (word === words.at(-1)) assert.ok(['held', 'cache'].includes(digest_source), digest_source);
        };
        const orReason = word === words.at(-1) ? [] : ['vanished', 'unmarked_fs'];
        return { word, sha256: digestOf(at('unreadable')), orReason, check };
      });
    },
  },
  ...(['tmpfs', 'overlay'] as const).map(
    (type): Attack => ({
      name: `${type} that is mounted for a moment, again and again`,
      commit: async () => {
        const names = Array.from({ length: 5 }, (_, round) => `${type}-${round}`);
        for (const name of names) await mountedForAMoment(type, tool(name));
        return names.map((word) => ({ word, sha256: toolDigest(word), orReason: ['vanished', 'unmarked_fs'] }));
      },
    }),
  ),
  {
    name: 'one image after another on one loop device: all is equal but the bytes',
    why: () => (existsSync('/usr/sbin/mkfs.ext4') ? undefined : 'needs mkfs.ext4'),
    commit: async () => {
      const words = await twoImages();
      return words.map((word) => ({
        word: `image-${word}`,
        sha256: toolDigest(word.startsWith('a') ? 'AAAAAAAA' : 'BBBBBBBB'),
        orReason: ['vanished', 'unmarked_fs'],
      }));
    },
  },
];

range.tryAll(ATTACKS);

/** Other probes of this host hold what runs here too. */
const UMOUNT = 'n=0; until umount "$2"; do n=$((n+1)); test $n -lt 200; sleep 0.05; done 2>/dev/null';

/** Seen by the whole host. */
async function mountedForAMoment(type: 'tmpfs' | 'overlay', program: string): Promise<void> {
  const where = mkdtempSync(at(`${type}-`));
  for (const part of ['lower', 'upper', 'work', 'at']) mkdirSync(join(where, part));
  const options =
    type === 'tmpfs' ? 'size=16m' : `lowerdir=${where}/lower,upperdir=${where}/upper,workdir=${where}/work,index=off`;
  const word = program.slice(program.lastIndexOf('/') + 1);
  await shell(
    `mount -t ${type} -o ${options} none "$2"; cp "$1" "$2/tool"; "$2/tool" ${word}; ${UMOUNT}`,
    ...[program, join(where, 'at')],
  );
}

/** Runs a program of an image, then of its twin of other bytes on the same loop device, and so on; the words in order. */
async function twoImages(): Promise<string[]> {
  const [image, mountPoint] = [at('image.a'), mkdir('image')];
  tool('AAAAAAAA');
  const make = 'truncate -s 4M "$1"; mkfs.ext4 -q -O ^has_journal "$1"; mount -o loop "$1" "$2"; cp "$3" "$2/tool"';
  await shell(`${make}; ${UMOUNT}`, image, mountPoint, at('AAAAAAAA'));
  const bytes = readFileSync(image);
  const from = bytes.lastIndexOf('#AAAAAAAA');
  bytes.write('#BBBBBBBB', from);
  writeFileSync(at('image.b'), bytes);
  await delay(50);
  const { stdout } = await run('losetup', ['--find', '--show', image]);
  const device = stdout.trim();
  const words = ['a1', 'b1', 'a2', 'b2', 'a3', 'b3'];
  for (const [index, word] of words.entries()) {
    const pause = index < 4 ? '' : 'sleep 0.5;';
    const script = `losetup -d $1 || true; losetup -r $1 "$3"; mount -o ro $1 "$2"; ${pause} "$2/tool" image-${word}; ${UMOUNT}`;
    await shell(script, device, mountPoint, at(`image.${word.charAt(0)}`));
  }
  await run('losetup', ['-d', device]);
  return words;
}
