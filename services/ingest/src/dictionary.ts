import { hashBytes } from '@bintrail/schemas/text-table.ts';

/** Distinct byte strings, numbered in the order in which they first come. */
export type Dictionary = {
  readonly texts: readonly Uint8Array[];
  readonly codeOf: (text: Uint8Array) => number;
};

const NONE = -1;

export function createDictionary(): Dictionary {
  const texts: Uint8Array[] = [];
  /** The newest code of each hash, and for each code the one before it of the same hash. */
  const newest = new Map<number, number>();
  const before: number[] = [];
  let lastCode = NONE;

  const add = (text: Uint8Array, hash: number): number => {
    const code = texts.length;
    texts.push(text);
    before.push(newest.get(hash) ?? NONE);
    newest.set(hash, code);
    return code;
  };
  const find = (text: Uint8Array): number => {
    const hash = hashBytes(text, 0, text.length);
    for (let code = newest.get(hash) ?? NONE; code !== NONE; code = before[code]!) {
      if (sameBytes(text, texts[code]!)) return code;
    }
    return add(text, hash);
  };
  const codeOf = (text: Uint8Array): number => {
    // Most columns of small messages hold one text, and the same as in the message before.
    if (lastCode === NONE || !sameBytes(text, texts[lastCode]!)) lastCode = find(text);
    return lastCode;
  };
  return { texts, codeOf };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
