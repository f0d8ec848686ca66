/** Distinct byte strings, numbered in the order in which they first come. */
export type Dictionary = {
  readonly texts: readonly Uint8Array[];
  readonly codeOf: (text: Uint8Array) => number;
};

export function createDictionary(): Dictionary {
  const codes = new Map<string, number>();
  const texts: Uint8Array[] = [];
  let lastCode = -1;
  const codeOf = (text: Uint8Array): number => {
    // Most columns of small messages hold one text, and the same as in the message before.
    if (lastCode >= 0 && sameBytes(text, texts[lastCode]!)) return lastCode;
    const key = latin1(text);
    let code = codes.get(key);
    if (code === undefined) {
      code = texts.length;
      codes.set(key, code);
      texts.push(text);
    }
    lastCode = code;
    return code;
  };
  return { texts, codeOf };
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
