import type { RingColumns } from '@bintrail/schemas/ring-columns.ts';
import { finishHash, mixHash } from '@bintrail/schemas/text-table.ts';
import type { Place, Program } from './origins.ts';

/** What later events want to know of a program image. */
export type Image = { readonly program: Program; readonly place: Place };

export type ImageId = { readonly pid: number; readonly start_ns: bigint; readonly self_exec_id: number };

/** Where a record has the three, in words from its start; the start of the process takes two. */
export type ImageWords = { readonly pid: number; readonly start: number; readonly selfExecId: number };

/** The image that a record names, for those who ask for it seldom. */
export function imageIdAt(words: Uint32Array, word: number, { pid, start, selfExecId }: ImageWords): ImageId {
  const start_ns = (BigInt(words[word + start + 1]!) << 32n) | BigInt(words[word + start]!);
  return { pid: words[word + pid]!, start_ns, self_exec_id: words[word + selfExecId]! };
}

export type ImageTable = {
  readonly remember: (id: ImageId, image: Image) => void;
  readonly find: (id: ImageId) => Image | undefined;
  /** The same for the image that the record at this word names. */
  readonly rememberWords: (words: Uint32Array, word: number, at: ImageWords, program: Program, place: Place) => void;
  readonly programOf: (words: Uint32Array, word: number, at: ImageWords) => Program | undefined;
  readonly placeOf: (words: Uint32Array, word: number, at: ImageWords) => Place | undefined;
};

export function imageWords({ wordOf }: RingColumns, [pid, start, selfExecId]: [string, string, string]): ImageWords {
  return { pid: wordOf(pid), start: wordOf(start), selfExecId: wordOf(selfExecId) };
}

/** Program images of this boot, running or not; a child may start long after its parent has gone. */
const MAX_IMAGES = 65_536;
const KEY_WORDS = 4;
const NONE = -1;

/**
 * Slots in typed arrays, chained by hash: an object for each of so many would be most of the collector's work. A full
 * table gives up the slot that was not asked for since the hand last passed it (the clock algorithm, F. Corbató 1968).
 */
export function createImageTable(capacity = MAX_IMAGES): ImageTable {
  const keys = new Uint32Array(capacity * KEY_WORDS);
  const programs: Program[] = [];
  const places: Place[] = [];
  const heads = new Int32Array(capacity).fill(NONE);
  const next = new Int32Array(capacity);
  const met = new Uint8Array(capacity);
  let hand = 0;

  const bucketOf = (pid: number, low: number) => finishHash(mixHash(pid, low)) & (capacity - 1);
  const find = (pid: number, low: number, high: number, selfExecId: number): number => {
    for (let slot = heads[bucketOf(pid, low)]!; slot !== NONE; slot = next[slot]!) {
      const at = slot * KEY_WORDS;
      if (keys[at] !== pid || keys[at + 1] !== low || keys[at + 2] !== high || keys[at + 3] !== selfExecId) continue;
      met[slot] = 1;
      return slot;
    }
    return NONE;
  };
  const unlink = (slot: number) => {
    const bucket = bucketOf(keys[slot * KEY_WORDS]!, keys[slot * KEY_WORDS + 1]!);
    if (heads[bucket] === slot) {
      heads[bucket] = next[slot]!;
      return;
    }
    let before = heads[bucket]!;
    while (next[before] !== slot) before = next[before]!;
    next[before] = next[slot]!;
  };
  const freeSlot = (): number => {
    if (programs.length < capacity) return programs.length;
    for (; met[hand] === 1; hand = (hand + 1) % capacity) met[hand] = 0;
    const slot = hand;
    hand = (hand + 1) % capacity;
    unlink(slot);
    return slot;
  };
  const remember = (pid: number, low: number, high: number, selfExecId: number, program: Program, place: Place) => {
    const known = find(pid, low, high, selfExecId);
    const slot = known === NONE ? freeSlot() : known;
    programs[slot] = program;
    places[slot] = place;
    if (known !== NONE) return;
    const at = slot * KEY_WORDS;
    keys[at] = pid;
    keys[at + 1] = low;
    keys[at + 2] = high;
    keys[at + 3] = selfExecId;
    const bucket = bucketOf(pid, low);
    next[slot] = heads[bucket]!;
    heads[bucket] = slot;
  };
  const low = (ns: bigint) => Number(ns & 0xffff_ffffn);
  const high = (ns: bigint) => Number(ns >> 32n);
  const findWords = (words: Uint32Array, word: number, { pid, start, selfExecId }: ImageWords): number =>
    find(words[word + pid]!, words[word + start]!, words[word + start + 1]!, words[word + selfExecId]!);
  return {
    remember: ({ pid, start_ns, self_exec_id }, { program, place }) =>
      remember(pid, low(start_ns), high(start_ns), self_exec_id, program, place),
    find: ({ pid, start_ns, self_exec_id }) => {
      const slot = find(pid, low(start_ns), high(start_ns), self_exec_id);
      return slot === NONE ? undefined : { program: programs[slot]!, place: places[slot]! };
    },
    rememberWords: (words, word, { pid, start, selfExecId }, program, place) => {
      const [low, high] = [words[word + start]!, words[word + start + 1]!];
      remember(words[word + pid]!, low, high, words[word + selfExecId]!, program, place);
    },
    programOf: (words, word, at) => {
      const slot = findWords(words, word, at);
      return slot === NONE ? undefined : programs[slot];
    },
    placeOf: (words, word, at) => {
      const slot = findWords(words, word, at);
      return slot === NONE ? undefined : places[slot];
    },
  };
}
