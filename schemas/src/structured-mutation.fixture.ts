/** Damages messages where it hurts: lengths, tags, keys, nesting, columns and codes, as whoever knows the format would. */
import { head } from './cbor-build.fixture.ts';
import { type Item, type Items, itemsOf } from './cbor-items.fixture.ts';
import { mutate, type Random } from './mutation.fixture.ts';

export type Message = { readonly name: string; readonly bytes: Uint8Array; readonly items: Items };

export function messageOf(name: string, bytes: Uint8Array): Message {
  return { name, bytes, items: itemsOf(bytes) };
}

const EXTREMES = [
  0n,
  1n,
  23n,
  24n,
  0xffn,
  0x100n,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0xffff_ffffn,
  2n ** 53n,
  2n ** 64n - 1n,
];
/** Typed arrays of RFC 8746, ours and others', bignums, an encoded item, and what nobody registered. */
const TAGS = [64, 65, 66, 68, 69, 70, 71, 72, 77, 78, 79, 84, 85, 2, 24, 0xffff_ffff];
const WIDTHS = [undefined, undefined, 1, 2, 4, 8] as const;
const DEPTHS = [1, 2, 100, 10_000];
const MAJOR = { uint: 0, bytes: 2, map: 5, tag: 6 };

type Mutation = (message: Message, random: Random, others: readonly Message[]) => Uint8Array;

const oneOf = <T>(list: readonly T[], random: Random): T => list[random(list.length)]!;
const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** The bytes with this stretch replaced. */
function replaced({ bytes }: Message, from: number, to: number, by: Uint8Array): Uint8Array {
  return joined(bytes.subarray(0, from), by, bytes.subarray(to));
}

/** A random item of this kind, or of any kind where the message has none. */
function pick({ items: { all } }: Message, random: Random, major?: number): Item {
  const own = major === undefined ? all : all.filter((item) => item.major === major);
  return oneOf(own.length > 0 ? own : all, random);
}

function rehead(message: Message, item: Item, argument: bigint, random: Random): Uint8Array {
  const width = oneOf(WIDTHS, random);
  const fits = width === undefined || argument < 1n << BigInt(8 * width);
  const by =
    random(20) === 0 ? Buffer.of((item.major << 5) | 31) : head(item.major, argument, fits ? width : undefined);
  return replaced(message, item.at, item.at + item.headBytes, by);
}

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'bits and bytes': ({ bytes }, random) => mutate(bytes, random),
  cut: ({ bytes }, random) => bytes.subarray(0, random(bytes.length)),
  'a length or number to an extreme': (message, random) =>
    rehead(message, pick(message, random), oneOf(EXTREMES, random), random),
  'a length or number by a little': (message, random) => {
    const item = pick(message, random);
    const argument = item.argument + BigInt(random(7) - 3);
    return rehead(message, item, BigInt.asUintN(64, argument), random);
  },
  'another type': (message, random) => {
    const item = pick(message, random);
    return replaced(message, item.at, item.at + 1, Buffer.of((random(8) << 5) | (message.bytes[item.at]! & 0x1f)));
  },
  'another tag': (message, random) => {
    const item = pick(message, random, MAJOR.tag);
    const by = random(4) === 0 ? Buffer.alloc(0) : head(MAJOR.tag, oneOf(TAGS, random));
    return replaced(message, item.at, item.at + (item.major === MAJOR.tag ? item.headBytes : 0), by);
  },
  'a key twice': (message, random) => {
    const map = oneOf(message.items.maps, random);
    const [from, to] = oneOf(map.entries, random);
    const [, behind] = oneOf(map.entries, random);
    const widened = replaced(message, behind, behind, message.bytes.subarray(from, to));
    const counted = head(MAJOR.map, map.argument + 1n);
    return joined(widened.subarray(0, map.at), counted, widened.subarray(map.at + map.headBytes));
  },
  'a key left out': (message, random) => {
    const map = oneOf(message.items.maps, random);
    const [from, to] = oneOf(map.entries, random);
    const narrowed = replaced(message, from, to, Buffer.alloc(0));
    const counted = head(MAJOR.map, map.argument - 1n);
    return joined(narrowed.subarray(0, map.at), counted, narrowed.subarray(map.at + map.headBytes));
  },
  'deep nesting': (message, random) => {
    const item = pick(message, random);
    const around = Buffer.alloc(oneOf(DEPTHS, random), oneOf([0x81, 0xa1, 0xc1, 0xd8, 0x9f], random));
    return replaced(message, item.at, random(2) === 0 ? item.at : item.end, around);
  },
  'a column longer or shorter': (message, random) => {
    const item = pick(message, random, MAJOR.bytes);
    const content = message.bytes.subarray(item.at + item.headBytes, item.end);
    const by = 1 + random(9);
    const changed =
      random(2) === 0 ? content.subarray(0, Math.max(0, content.length - by)) : joined(content, new Uint8Array(by));
    return replaced(message, item.at, item.end, joined(head(item.major, changed.length), changed));
  },
  'codes and numbers in a column to an extreme': (message, random) => {
    const item = pick(message, random, MAJOR.bytes);
    const from = item.at + item.headBytes;
    if (from >= item.end) return message.bytes.slice();
    const changed = message.bytes.slice();
    for (let times = 1 + random(4); times > 0; times--) {
      changed[from + random(item.end - from)] = oneOf([0xff, 0x80, 0x7f, 1, 0], random);
    }
    return changed;
  },
  'an item of another message': (message, random, others) => {
    const other = oneOf(others, random);
    const item = pick(message, random);
    const given = pick(other, random, random(2) === 0 ? item.major : undefined);
    return replaced(message, item.at, item.end, other.bytes.subarray(given.at, given.end));
  },
  'two messages spliced': (message, random, others) => {
    const other = oneOf(others, random);
    const from = pick(message, random).at;
    return joined(message.bytes.subarray(0, from), other.bytes.subarray(pick(other, random).at));
  },
};

const KINDS = Object.values(MUTATIONS);

/** One structured mutation, every third time with bits and bytes changed as well. */
export function mutateMessage(message: Message, random: Random, others: readonly Message[]): Uint8Array {
  const mutated = oneOf(KINDS, random)(message, random, others);
  return random(3) === 0 && mutated.length > 0 ? mutate(mutated, random) : mutated;
}
