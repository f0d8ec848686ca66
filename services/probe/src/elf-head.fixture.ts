/** Heads of programs as no compiler makes them. */
import type { Random } from '@bintrail/schemas/mutation.fixture.ts';

const HEAD_BYTES = 20;
/** Classes, byte orders, versions, types and machines that there are, and their neighbours. */
const TELLING = [0, 1, 2, 3, 4, 0x28, 0x3e, 0x3f, 0xb7, 0x7f, 0xff];

/** This head with up to three bytes changed, or cut; or any bytes, of any length. */
export function damagedHead(own: Uint8Array, random: Random): Buffer {
  if (random(8) === 0) return Buffer.from(Array.from({ length: random(HEAD_BYTES + 5) }, () => random(256)));
  const head = Buffer.from(own);
  for (let changes = random(4); changes > 0; changes--) {
    head[random(HEAD_BYTES)] = random(2) === 0 ? random(256) : TELLING[random(TELLING.length)]!;
  }
  return random(8) === 0 ? head.subarray(0, random(HEAD_BYTES + 1)) : head;
}
