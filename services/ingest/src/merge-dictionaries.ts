/** Many small dictionaries become one: texts are told apart by their bytes, without making a string of each. */
import type { TextColumn } from '@bintrail/schemas/column.ts';

export type Merged = {
  /** The distinct texts of all dictionaries, in the order of their first appearance. */
  readonly keys: readonly Uint8Array[];
  /** For each text of each dictionary in turn, which of the keys it is. */
  readonly remap: readonly number[];
};

export function mergeDictionaries(parts: readonly Pick<TextColumn, 'dict'>[]): Merged {
  const codeOf = new Map<string, number>();
  const keys: Uint8Array[] = [];
  const remap: number[] = [];
  let last: Uint8Array | undefined;
  let lastCode = 0;
  for (const { dict } of parts) {
    for (let at = 0; at < dict.length; at++) {
      const text = dict[at]!;
      // Most columns of small messages hold one text, and the same as in the message before.
      if (last === undefined || !sameBytes(text, last)) {
        const key = latin1(text);
        let code = codeOf.get(key);
        if (code === undefined) {
          code = keys.length;
          codeOf.set(key, code);
          keys.push(text);
        }
        last = text;
        lastCode = code;
      }
      remap.push(lastCode);
    }
  }
  return { keys, remap };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

function latin1(text: Uint8Array): string {
  const bytes = text instanceof Buffer ? text : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  return bytes.toString('latin1');
}
