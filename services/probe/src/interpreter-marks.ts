/**
 * Interpreters that no package owns (pyenv's Python, a Node.js in /opt, the busybox of an image) by what their own bytes
 * say. Whoever builds the mark into another program makes more visible, not less; one that lacks it stays unknown.
 */
import type { Family } from './interpreters.ts';

/** Each from the source of the program itself, and not of what embeds it. */
const MARKS: ReadonlyMap<string, Family> = new Map([
  // What Programs/python.c calls since 3.8.
  ['Py_BytesMain', 'python'],
  // src/node_sea.cc, since 18.16: a program that was made of Node.js, and is none any more, ends it with 1.
  ['NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:0', 'node'],
  // libbb/appletlib.c
  ['BusyBox is a multi-call binary', 'busybox'],
  // version.c of bash
  ['@(#)Bash version ', 'shell'],
  // perl.c, where it is not in a libperl.so.
  ['\nThis is perl ', 'perl'],
]);

const LONGEST = Math.max(...[...MARKS.keys()].map((mark) => mark.length));
/** All in one walk, over text: a third less than looking for each among the bytes (0.7 s a GB, SHA-256 0.85). */
const ANY = new RegExp([...MARKS.keys()].map(RegExp.escape).join('|'));
const ELF_MAGIC = Buffer.from('\x7fELF', 'latin1');

/** `bytes` is a whole file. Undefined for what is no program, or none of those. */
export function markedFamily(bytes: Uint8Array): Family | undefined {
  const whole = asBuffer(bytes);
  return isElf(whole) ? familyIn(whole) : undefined;
}

/** The same of a file that comes in parts, all but the last of them longer than a mark. */
export function createMarkSearch(): { take(part: Buffer): void; family(): Family | undefined } {
  let isProgram: boolean | undefined;
  let found: Family | undefined;
  let end = Buffer.alloc(0);
  return {
    take(part) {
      isProgram ??= isElf(part);
      if (!isProgram || found !== undefined) return;
      found = familyIn(Buffer.concat([end, part.subarray(0, LONGEST)])) ?? familyIn(part);
      // A copy: the part is read into again.
      end = Buffer.from(part.subarray(-LONGEST));
    },
    family: () => found,
  };
}

function isElf(head: Buffer): boolean {
  return head.subarray(0, ELF_MAGIC.length).equals(ELF_MAGIC);
}

function familyIn(bytes: Buffer): Family | undefined {
  return MARKS.get(ANY.exec(bytes.toString('latin1'))?.[0] ?? '');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
