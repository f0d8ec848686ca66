/**
 * Secrets inside a text, wherever they stand: `name=value`, `name: value`, JSON, query parameters, connection strings,
 * addresses. Linear: looking back is bounded, looking forward consumes.
 */

import { closingOf, type Delimiter, delimiterAt, isBlank, lengthOf } from './redact-words.ts';
import { isSecretName } from './redaction-names.ts';
import { MASK, NO_SECRET, SHELL_REFERENCE } from './redaction-rules.ts';

const NAME_CHARACTER = /[A-Za-z0-9_.-]/;
const MAX_NAME_CHARS = 80;
const MAX_PADDING_CHARS = 8;

/** `Authorization: Bearer X`: the scheme is no secret, unless nothing follows it. */
const SCHEME = /^(?:bearer|basic|token|digest|negotiate|apikey)[ \t]+(?=[^ \t\r\n])/i;

/** An unquoted value in a shell's word: a blank after a backslash belongs to it. */
const WORD_VALUE = /(?:\\[ \t]|[^"' \t\r\n])*/y;

/** `api_key: str = "x"`: what lies between the colon and the value in languages with types. */
const TYPED = /[A-Za-z][\w.|]{0,40}[ \t]{0,4}=[ \t]{0,4}/y;

/** Where another unquoted value ends, by what stands before its name. */
const ENDS = {
  query: /[&# \t\r\n"'<>]/g,
  semicolons: /[;"'\r\n]/g,
  list: /[,}\])"' \t\r\n]/g,
  line: /["'\r\n]/g,
  newline: /[\r\n]/g,
  bracket: /\]/g,
};

type Name = {
  readonly text: string;
  /** The character before the name; empty at the text's beginning. */
  readonly before: string;
  /** The quotation the name begins in, if it is at its very beginning. */
  readonly opened: Delimiter | undefined;
  /** Quotes (or an index's bracket), or blanks, stand between the name and the separator. */
  readonly quoted: boolean;
  readonly padded: boolean;
};

/** The shell's folder by this name is a path, a secret hardly ever; in a connection string it is always the secret. */
const PWD = /^pwd$/i;
const FOLDER = /^(?:[/~.]|[A-Za-z]:[\\/]|$)/;
const CONNECTION =
  /(?:^|[;"' \t=])(?:server|data source|host|addr(?:ess)?|uid|user(?: ?id)?|database|driver|dsn)[ \t]*=/i;
/** How far to either side a connection string is looked for: its parts are short, and longer would not be linear. */
const CONNECTION_CHARS = 200;

type Range = readonly [from: number, to: number];

export function redactNamedValues(text: string): string {
  let out = '';
  let copied = 0;
  const separator = /[=:,]/g;
  for (let found = separator.exec(text); found; found = separator.exec(text)) {
    const name = nameBefore(text, found.index);
    const value = name && valueAfter(text, found.index, name);
    if (!value) continue;
    out += text.slice(copied, value[0]) + MASK;
    copied = value[1];
    separator.lastIndex = Math.max(copied, found.index + 1);
  }
  return out + text.slice(copied);
}

function nameBefore(text: string, separatorAt: number): Name | undefined {
  const back = (end: number, limit: number, belongs: (at: number) => boolean) => {
    let at = end;
    while (at > 0 && at > end - limit && belongs(at - 1)) at--;
    return at;
  };
  const padding = back(separatorAt, MAX_PADDING_CHARS, (at) => isBlank(text, at));
  const end = back(padding, MAX_PADDING_CHARS, (at) => '"\'\\]'.includes(text[at] as string));
  const start = back(end, MAX_NAME_CHARS, (at) => NAME_CHARACTER.test(text[at] as string));
  if (start === end) return undefined;
  const before = text[start - 1] ?? '';
  const isQuote = before === '"' || before === "'";
  const backslashes = start - 1 - back(start - 1, MAX_PADDING_CHARS, (at) => text[at] === '\\');
  return {
    text: text.slice(start, end),
    before,
    opened: isQuote ? { quote: before, backslashes } : undefined,
    quoted: end < padding,
    padded: padding < separatorAt,
  };
}

function valueAfter(text: string, separatorAt: number, name: Name): Range | undefined {
  const separator = text[separatorAt];
  // `["--password","x"]`: a comma separates only there.
  if (separator === ',' && !(name.quoted && name.text.startsWith('-'))) return undefined;
  const isQuery = name.before !== '' && '?&#'.includes(name.before);
  const isPwd = PWD.test(name.text) && (separator === '=' || name.quoted);
  if (!isPwd && !isSecretName(name.text, separator === ':' ? 'header' : isQuery ? 'query' : undefined))
    return undefined;
  const connects =
    isPwd && CONNECTION.test(text.slice(Math.max(0, separatorAt - CONNECTION_CHARS), separatorAt + CONNECTION_CHARS));
  const from = skipToValue(text, separatorAt, name);
  if (text.startsWith(MASK, from) && !/\w/.test(text[from + MASK.length] ?? '')) return undefined;
  const opening = delimiterAt(text, from);
  // `"TOKEN="`: what follows closes the quotation around the name.
  if (opening && !name.quoted && opening.quote === name.opened?.quote && from === separatorAt + 1) return undefined;
  let value: Range | undefined;
  if (opening) value = quotedValue(text, from, opening);
  else if (separator === '=') value = [from, connects ? partEnd(text, from) : wordValueEnd(text, from, name)];
  else if (separator === ':') value = colonValue(text, from, name, from === separatorAt + 1);
  if (value === undefined || !isSecretValue(text.slice(...value))) return undefined;
  if (!isPwd || connects) return value;
  const isCode = (name.padded && !opening) || text.slice(...value).includes('(');
  return isCode || FOLDER.test(text.slice(value[0], value[0] + 4)) ? undefined : value;
}

function quotedValue(text: string, at: number, opening: Delimiter): Range {
  const from = at + lengthOf(opening);
  return [from, closingOf(text, from, opening)];
}

function isSecretValue(value: string): boolean {
  return !NO_SECRET.test(value) && !SHELL_REFERENCE.test(value) && value !== MASK;
}

/** Blanks after `=` belong to it only where there are some before it: `PASSWORD= cmd` sets nothing. */
function skipToValue(text: string, separatorAt: number, name: Name): number {
  let at = separatorAt + 1;
  if (text[separatorAt] === '=' && !name.padded) return at;
  if (/^[=>~]{1,2}[ \t]/.test(text.slice(at, at + 3))) at += text[at + 1] === ' ' || text[at + 1] === '\t' ? 1 : 2;
  const limit = at + MAX_PADDING_CHARS;
  while (at < limit && (text[at] === ' ' || text[at] === '\t')) at++;
  return at;
}

/** `image:tag` and `host:path` are no secrets; a header, HTTPie's items and JSON-like notations are. */
function colonValue(text: string, at: number, name: Name, tight: boolean): Range | undefined {
  const headerOnly = !isSecretName(name.text);
  const inList = name.before !== '' && '{,'.includes(name.before);
  if (tight && !headerOnly && !name.quoted && !inList && !/^x-/i.test(name.text)) return undefined;
  if (name.quoted && text[at] === '{') return undefined;
  if (name.quoted && text[at] === '[') return [at + 1, endOf(text, at, 'bracket')];
  // After `=` it is the value of `--header=`.
  const whole = headerOnly || name.before === '' || name.opened || name.before === '\n' || name.before === '=';
  if (name.quoted) return [at, endOf(text, at, 'list')];
  const from = at + (SCHEME.exec(text.slice(at, at + 32))?.[0].length ?? 0);
  if (!whole) return typedValue(text, at) ?? [from, wordValueEnd(text, from, name)];
  if (!name.opened) return [from, endOf(text, from, name.before === '' ? 'newline' : 'line')];
  return [from, Math.min(closingOf(text, from, name.opened), endOf(text, from, 'newline'))];
}

function typedValue(text: string, at: number): Range | undefined {
  TYPED.lastIndex = at;
  const valueAt = at + (TYPED.exec(text)?.[0].length ?? 0);
  const opening = valueAt > at ? delimiterAt(text, valueAt) : undefined;
  return opening && quotedValue(text, valueAt, opening);
}

function wordValueEnd(text: string, from: number, name: Name): number {
  if (name.before === '' || !'?&#;,{[('.includes(name.before)) {
    WORD_VALUE.lastIndex = from;
    const end = from + (WORD_VALUE.exec(text)?.[0].length ?? 0);
    // A shell's `;` at the end is not the secret's.
    return text[end - 1] === ';' && end > from ? end - 1 : end;
  }
  if (name.before === ';') return partEnd(text, from);
  return endOf(text, from, '?&#'.includes(name.before) ? 'query' : 'list');
}

/** Of a connection string's value: at the next semicolon, but for one within `{ }`, where `}}` stands for a brace. */
function partEnd(text: string, from: number): number {
  if (text[from] !== '{') return endOf(text, from, 'semicolons');
  let at = text.indexOf('}', from);
  while (at >= 0 && text[at + 1] === '}') at = text.indexOf('}', at + 2);
  return at < 0 ? text.length : at + 1;
}

function endOf(text: string, from: number, kind: keyof typeof ENDS): number {
  const end = ENDS[kind];
  end.lastIndex = from;
  return end.exec(text)?.index ?? text.length;
}

/** `scheme://user:secret@host`, and a long user name with digits that stands alone: such are tokens. */
export function redactAddresses(text: string): string {
  let out = '';
  let copied = 0;
  for (let at = text.indexOf('://'); at >= 0; at = text.indexOf('://', at + 3)) {
    const from = at + 3;
    const authority = text.slice(from, firstOf(AUTHORITY_END, text, from));
    const user = authority.includes('@')
      ? authority.slice(0, authority.lastIndexOf('@'))
      : brokenUser(text, from, authority);
    const colon = user.indexOf(':');
    const secret = colon >= 0 ? user.slice(colon + 1) : /^(?=[^0-9]*[0-9]).{12,}$/s.test(user) ? user : '';
    if (!isSecretValue(secret)) continue;
    const secretAt = from + (colon >= 0 ? colon + 1 : 0);
    out += text.slice(copied, secretAt) + MASK;
    copied = secretAt + secret.length;
  }
  return out + text.slice(copied);
}

const AUTHORITY_END = /[/?# \t\r\n"'`<>\\]/g;
const RUN_END = /:\/\/|[ \t\r\n"'`<>\\]/g;

/** A password with `/`, `?` or `#` in it, which nobody escaped: what follows the colon is no port, and an @ comes later. */
function brokenUser(text: string, from: number, authority: string): string {
  const colon = authority.indexOf(':');
  if (colon < 0 || /^\d*$/.test(authority.slice(colon + 1))) return '';
  const run = text.slice(from, firstOf(RUN_END, text, from));
  return run.includes('@') ? run.slice(0, run.lastIndexOf('@')) : '';
}

function firstOf(end: RegExp, text: string, from: number): number {
  end.lastIndex = from;
  return end.exec(text)?.index ?? text.length;
}
