/** Where a shell would end a word, told leniently: for redaction, not for running. Linear in the text. */

/** A quote character with the backslashes before it: nested shells and JSON in strings quote by `\"`, then `\\\"`. */
export type Delimiter = { readonly quote: string; readonly backslashes: number };

const BLANK = /[ \t\r\n\f\v]/;

export function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

export function hasBlank(text: string): boolean {
  return BLANK.test(text);
}

/** The delimiter that begins at `at`, if one does. */
export function delimiterAt(text: string, at: number): Delimiter | undefined {
  let quoteAt = at;
  while (text[quoteAt] === '\\') quoteAt++;
  const quote = text[quoteAt];
  return quote === '"' || quote === "'" ? { quote, backslashes: quoteAt - at } : undefined;
}

export function lengthOf(delimiter: Delimiter): number {
  return delimiter.backslashes + 1;
}

/** Where the next delimiter of exactly this kind begins, from `from` on; the text's length when none does. */
export function closingOf(text: string, from: number, delimiter: Delimiter): number {
  let searchFrom = from;
  for (;;) {
    const quoteAt = text.indexOf(delimiter.quote, searchFrom);
    if (quoteAt < 0) return text.length;
    let begin = quoteAt;
    while (begin > searchFrom && text[begin - 1] === '\\') begin--;
    if (quoteAt - begin === delimiter.backslashes) return begin;
    searchFrom = quoteAt + 1;
  }
}

/** Past the closing delimiter of the quotation that begins at `at`. An unclosed one lasts to the end. */
function quotationEnd(text: string, at: number, delimiter: Delimiter): number {
  const length = lengthOf(delimiter);
  return Math.min(closingOf(text, at + length, delimiter) + length, text.length);
}

/** Past the end of the word that begins at `start`. */
export function wordEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && !isBlank(text, at)) {
    // 'it'\''s': the one escaped quote that opens nothing.
    if (text.startsWith("'\\''", at - 1) && at > start) {
      at += 2;
      continue;
    }
    const delimiter = delimiterAt(text, at);
    if (delimiter) at = quotationEnd(text, at, delimiter);
    else if (text[at] === '\\') at = pastBackslashes(text, at);
    else at++;
  }
  return Math.min(at, text.length);
}

/** An odd number of backslashes takes the next character along, a blank too. */
function pastBackslashes(text: string, at: number): number {
  let end = at;
  while (text[end] === '\\') end++;
  return (end - at) % 2 === 1 ? end + 1 : end;
}

/** The words of a text as they stand, quotes and all, and what lies between them. */
export function replaceWords(text: string, replace: (word: string) => string): string {
  let out = '';
  let at = 0;
  while (at < text.length) {
    const start = at;
    while (at < text.length && isBlank(text, at)) at++;
    out += text.slice(start, at);
    if (at === text.length) break;
    const end = wordEnd(text, at);
    out += replace(text.slice(at, end));
    at = end;
  }
  return out;
}

/** The quoted parts of a word, without their quotes. */
export function replaceQuotations(word: string, replace: (inner: string) => string): string {
  let out = '';
  let at = 0;
  while (at < word.length) {
    const delimiter = delimiterAt(word, at);
    if (!delimiter) {
      const next = word[at] === '\\' ? pastBackslashes(word, at) : at + 1;
      out += word.slice(at, next);
      at = next;
      continue;
    }
    const from = at + lengthOf(delimiter);
    const to = closingOf(word, from, delimiter);
    const end = Math.min(to + lengthOf(delimiter), word.length);
    out += word.slice(at, from) + replace(word.slice(from, to)) + word.slice(to, end);
    at = end;
  }
  return out;
}

/** `"a b"` → `"`, `a b`, `"`; a word that is not one whole quotation has empty quotes. */
export function unquote(word: string): { open: string; body: string; close: string } {
  const delimiter = delimiterAt(word, 0);
  if (delimiter) {
    const length = lengthOf(delimiter);
    const closing = closingOf(word, length, delimiter);
    if (closing + length === word.length) {
      return { open: word.slice(0, length), body: word.slice(length, closing), close: word.slice(closing) };
    }
  }
  return { open: '', body: word, close: '' };
}
