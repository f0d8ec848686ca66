/**
 * Which programs are interpreters: by the package that owns their bytes, or by being the same bytes elsewhere, and those of
 * no package by what their bytes say; never by a name that anybody may give a file. The kernel side tells of execs of those
 * that are named to it.
 */
import { createLru } from '@bintrail/runtime/lru.ts';
import { type DigestStrength, STRONG } from '@bintrail/schemas/digest-words.ts';
import { type Libbpf, lastErrno } from './ffi.ts';
import { type FileState, identityKey } from './file-identity.ts';

/** How an interpreter reads its arguments. Up to `python`, `-c` is followed by code: LAST_FAMILY_WITH_CODE in bpf/. */
export const FAMILIES = ['shell', 'busybox', 'python', 'perl', 'ruby', 'node', 'php', 'lua', 'tcl'] as const;
export type Family = (typeof FAMILIES)[number];

/** All that is known of packages: of Debian, Red Hat, SUSE and Alpine, by name. */
const PACKAGES: readonly (readonly [RegExp, Family])[] = [
  [/^(bash|dash|zsh|ksh|ksh93u\+m|mksh|oksh|loksh|yash|posh|fish)(-static)?$/, 'shell'],
  [/^busybox(-static|-binsh)?$/, 'busybox'],
  [/^(python[\d.]*(-minimal|-base)?|platform-python|pypy3?)$/, 'python'],
  [/^perl(-base|-interpreter)?$/, 'perl'],
  [/^ruby[\d.]*$/, 'ruby'],
  [/^nodejs(\d+|-current|-lts)?$/, 'node'],
  [/^php[\d.]*(-cli)?$/, 'php'],
  [/^lua[\d.]*$/, 'lua'],
  [/^tcl[\d.]*$/, 'tcl'],
];

/** `name` is manager:name:architecture. What a container only claims is as good: it makes more visible, not less. */
export function familyOfPackage(name: string, match: string): Family | undefined {
  if (match !== 'match' && match !== 'claimed') return undefined;
  const bare = name.split(':')[1] ?? '';
  return PACKAGES.find(([pattern]) => pattern.test(bare))?.[1];
}

/** What is known of the bytes of a program. */
export type Known = {
  readonly sha256: string;
  readonly digest_strength: string;
  readonly package: string;
  readonly package_match: string;
};

export type Interpreters = {
  /** Takes in what the bytes of this digest say they are. */
  readonly recognise: (sha256: string, family: Family) => void;
  /** Takes in what was found out about a program; it is an interpreter from then on, or none. */
  readonly learn: (file: FileState, known: Known) => void;
  /** When this very state of a file was named to the kernel; undefined for what is no interpreter. */
  readonly namedAtNs: (file: FileState) => bigint | undefined;
  readonly familyOf: (file: FileState) => Family | undefined;
};

export type InterpretersOptions = {
  readonly name: (file: FileState, family: number | undefined) => void;
  readonly nowNs: () => bigint;
};

/** As many as the kernel side keeps (MAX_INTERPRETERS in bpf/interpreters.h). */
const MAX_NAMED = 4_096;
const MAX_PROGRAMS = 4_096;

export function createInterpreters({ name, nowNs }: InterpretersOptions): Interpreters {
  const packaged = createLru<string, Family>(MAX_PROGRAMS);
  const marked = createLru<string, Family>(MAX_PROGRAMS);
  /** Oldest first. */
  const named = new Map<string, { readonly file: FileState; readonly family: Family; readonly atNs: bigint }>();

  const learn: Interpreters['learn'] = (file, { sha256, digest_strength, package: owner, package_match }) => {
    const isStrong = STRONG.includes(digest_strength as DigestStrength);
    const ofPackage = isStrong ? familyOfPackage(owner, package_match) : undefined;
    if (ofPackage !== undefined) packaged.set(sha256, ofPackage);
    // A package that is known better knows what it holds: it may embed an interpreter, and be none.
    const isOthers = isStrong && package_match === 'match';
    const family = packaged.touch(sha256) ?? (isOthers ? undefined : marked.touch(sha256));
    const key = identityKey(file);
    if (family === undefined || named.has(key)) return;
    if (named.size === MAX_NAMED) {
      const [oldest, { file: forgotten }] = named.entries().next().value!;
      name(forgotten, undefined);
      named.delete(oldest);
    }
    name(file, FAMILIES.indexOf(family) + 1);
    named.set(key, { file, family, atNs: nowNs() });
  };
  return {
    recognise: marked.set,
    learn,
    namedAtNs: (file) => named.get(identityKey(file))?.atNs,
    familyOf: (file) => named.get(identityKey(file))?.family,
  };
}

/** struct program_key of bpf/interpreters.h: dev, generation, ino, ctime_ns, mtime_ns, size. */
const KEY_BYTES = 40;

/** Writes the kernel's map. */
export function interpreterNamer(libbpf: Libbpf, fd: number): InterpretersOptions['name'] {
  return ({ dev, generation, ino, ctime_ns, mtime_ns, size }, family) => {
    const key = new DataView(new ArrayBuffer(KEY_BYTES));
    key.setUint32(0, dev, true);
    key.setUint32(4, generation, true);
    for (const [index, value] of [ino, ctime_ns, mtime_ns, size].entries())
      key.setBigUint64(8 + 8 * index, value, true);
    const bytes = new Uint8Array(key.buffer);
    if (family === undefined) {
      libbpf.remove(fd, bytes);
      return;
    }
    if (Number(libbpf.update(fd, bytes, new Uint8Array(Uint32Array.of(family).buffer), 0n)) < 0) {
      throw new Error(`naming an interpreter to the kernel failed: errno ${lastErrno()}`);
    }
  };
}
