/** How few bytes the numbers of a column take once the smallest is taken off each of them. */

/** `widthBytes` holds every number above `smallest`: 0 when all are equal; 8 when they are to be written as they are. */
export type Range = { readonly smallest: number | bigint; readonly widthBytes: 0 | 1 | 2 | 4 | 8 };

function widthOf(range: number): 0 | 1 | 2 | 4 {
  if (range === 0) return 0;
  if (range <= 0xff) return 1;
  return range <= 0xffff ? 2 : 4;
}

/** Of words [from, to), read as signed or unsigned. */
export function smallestOf32(words: Uint32Array, from: number, to: number, signed: boolean): Range {
  // With the sign bit turned round, signed numbers are in the order of unsigned ones.
  const turn = signed ? 0x8000_0000 : 0;
  let min = 0xffff_ffff;
  let max = 0;
  for (let row = from; row < to; row++) {
    const value = (words[row]! ^ turn) >>> 0;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const widthBytes = widthOf(max - min);
  const smallest = signed ? min - 0x8000_0000 : min;
  // Four bytes are as many as the number itself has: a reader need not add anything then.
  return { smallest: widthBytes === 4 && !signed ? 0 : smallest, widthBytes };
}

/** Of the pairs of words of rows [from, to), the lower word first. */
export function smallestOf64(words: Uint32Array, from: number, to: number): Range {
  let minLow = words[2 * from]!;
  let minHigh = words[2 * from + 1]!;
  let maxLow = minLow;
  let maxHigh = minHigh;
  for (let row = from + 1; row < to; row++) {
    const low = words[2 * row]!;
    const high = words[2 * row + 1]!;
    if (high < minHigh || (high === minHigh && low < minLow)) {
      minLow = low;
      minHigh = high;
    } else if (high > maxHigh || (high === maxHigh && low > maxLow)) {
      maxLow = low;
      maxHigh = high;
    }
  }
  const range = (maxHigh - minHigh) * 0x1_0000_0000 + (maxLow - minLow);
  if (range > 0xffff_ffff) return { smallest: 0, widthBytes: 8 };
  return { smallest: (BigInt(minHigh) << 32n) | BigInt(minLow), widthBytes: widthOf(range) };
}

/** Numbers of a column that has few different ones: which they are, and for each row which of them it is. */
export type Distinct = { readonly count: number; readonly words: Uint32Array; readonly codes: Uint8Array };

const MAX_DISTINCT = 256;
const SLOT_BITS = 10;
const FREE = -1;

const slots = new Int16Array(1 << SLOT_BITS);
const distinctWords = new Uint32Array(2 * MAX_DISTINCT);
const codeMemory = new Uint8Array(65_536);

/**
 * Undefined when more than 256, or more than half of the rows, differ. The result is overwritten by the next call. Rows
 * [from, to) are at most 65,536.
 */
export function distinctNumbers(words: Uint32Array, wide: boolean, from: number, to: number): Distinct | undefined {
  const limit = Math.min(MAX_DISTINCT, (to - from) >> 1);
  const stride = wide ? 2 : 1;
  let count = 0;
  slots.fill(FREE);
  for (let row = from; row < to; row++) {
    const low = words[row * stride]!;
    const high = wide ? words[row * stride + 1]! : 0;
    // Multiplicative hashing by the golden ratio, D. Knuth, The Art of Computer Programming 3, 6.4.
    let slot = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> (32 - SLOT_BITS);
    let code = slots[slot]!;
    while (code !== FREE && (distinctWords[code * stride] !== low || (wide && distinctWords[code * 2 + 1] !== high))) {
      slot = (slot + 1) & (slots.length - 1);
      code = slots[slot]!;
    }
    if (code === FREE) {
      if (count === limit) return undefined;
      code = count++;
      slots[slot] = code;
      distinctWords[code * stride] = low;
      if (wide) distinctWords[code * 2 + 1] = high;
    }
    codeMemory[row - from] = code;
  }
  return { count, words: distinctWords, codes: codeMemory.subarray(0, to - from) };
}
