/** Tells the kernel side for what it need not wake us (bpf/bell.h). */
import {
  isMapFailed,
  type Libbpf,
  type Libc,
  lastErrno,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  viewMemory,
} from './ffi.ts';

export type Bell = {
  /** On: a look begins, and others follow by themselves; the kernel wakes only for what cannot wait. Off: for all. */
  readonly setGathering: (on: boolean) => void;
  /** A program, by its identity at a word of a record, that can wait whenever it runs in this mount namespace. */
  readonly noteKnown: (words: Uint32Array, word: number, mountNs: number) => void;
  readonly close: () => void;
};

/** struct bell of bpf/bell.h, in words. */
const [GATHERING, RUNG] = [0, 1];
/** struct known_key of bpf/bell.h, in words; the first are those of struct bt_file. */
const KEY_WORDS = 8;
const FILE_WORDS = 6;
const MOUNTS_WORD = 6;
const PAGE_BYTES = 4096;

export function openBell(libbpf: Libbpf, libc: Libc, bellFd: number, knownFd: number): Bell {
  const page = libc.mmap(0n, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bellFd, 0);
  if (isMapFailed(page)) throw new Error(`mmap of a BPF map failed: errno ${lastErrno()}`);
  const bell = new Uint32Array(viewMemory(page, PAGE_BYTES));
  const [key, value] = [new Uint32Array(KEY_WORDS), new Uint32Array(1)];
  const noteKnown: Bell['noteKnown'] = (words, word, mountNs) => {
    for (let at = 0; at < FILE_WORDS; at++) key[at] = words[word + at]!;
    key[MOUNTS_WORD] = mountNs;
    // Where there is no room it goes on ringing.
    libbpf.update(knownFd, key, value, 0n);
  };
  return {
    setGathering: (on) => {
      Atomics.store(bell, GATHERING, on ? 1 : 0);
      if (on) Atomics.store(bell, RUNG, 0);
    },
    noteKnown,
    close: () => {
      libc.munmap(page, PAGE_BYTES);
    },
  };
}
