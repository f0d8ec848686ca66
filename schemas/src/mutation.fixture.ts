/** Damages bytes at random, the same way for the same seed. */

/** Numbers from 0 (included) to `below` (excluded); xorshift32, Marsaglia 2003. */
export type Random = (below: number) => number;

export function seededRandom(seed: number): Random {
  let state = seed | 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

// Heads of every major type with the lengths that matter, break, floats and null.
const TELLING = [
  0x00, 0x17, 0x1b, 0x20, 0x3b, 0x40, 0x5f, 0x60, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc1, 0xd8, 0xf6, 0xfb, 0xff,
];

/** A copy with 1 to 4 changes: bits and bytes flipped, removed, doubled, moved, or whole pieces cut out. */
export function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  let mutated: Uint8Array = bytes.slice();
  for (let changes = 1 + random(4); changes > 0 && mutated.length > 0; changes--) {
    mutated = change(mutated, random);
  }
  return mutated;
}

function change(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random(bytes.length);
  const length = 1 + random(Math.min(16, bytes.length - at));
  const piece = bytes.subarray(at, at + length);
  switch (random(7)) {
    case 0:
      return bytes.with(at, bytes[at]! ^ (1 << random(8)));
    case 1:
      return bytes.with(at, random(256));
    case 2:
      return bytes.with(at, TELLING[random(TELLING.length)]!);
    case 3:
      return joined(bytes.subarray(0, at), bytes.subarray(at + length));
    case 4:
      return joined(bytes.subarray(0, at), piece, bytes.subarray(at));
    case 5:
      return joined(
        bytes.subarray(0, at),
        Uint8Array.from({ length }, () => random(256)),
        bytes.subarray(at),
      );
    default: {
      const to = random(bytes.length - length + 1);
      const rest = joined(bytes.subarray(0, at), bytes.subarray(at + length));
      return joined(rest.subarray(0, to), piece, rest.subarray(to));
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
