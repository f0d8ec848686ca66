/**
 * Takes secrets out of process arguments before anything leaves the probe. What a secret is, is data (`redaction-*.ts`).
 * Looked at in turn: a word with its flag and program; names with values and known shapes anywhere in its text; and in a
 * text with blanks, the words a shell would find in it.
 *
 * Texts are latin1 strings, one character per kernel byte: never `\s`, which takes half of some UTF-8 characters for a
 * blank. Linear time. In doubt a text goes, even if that costs a harmless word.
 */

import { announcesHeader, credentialsFrom, schemeLength, secretOfPair } from './redact-pairs.ts';
import { redactAddresses, redactNamedValues } from './redact-text.ts';
import { hasBlank, replaceQuotations, replaceWords, unquote } from './redact-words.ts';
import { isSecretName } from './redaction-names.ts';
import { OPTION_RULES } from './redaction-programs.ts';
import { MASK, NO_SECRET, type OptionRule, SHELL_REFERENCE } from './redaction-rules.ts';
import { PATTERN_RULES } from './redaction-shapes.ts';

export type Redacted = { readonly argv: string[]; readonly redacted: boolean };

/** Shells in shells in shells: each level reads the text once more. */
const MAX_DEPTH = 6;
/** `sh -c`, `bash -lc`, `su -c`: the next word is a program's text. */
const CODE_FLAG = /^-[a-z]{0,6}c$/;
/** After a flag whose value may be left out. A secret of exactly this shape would stay; none is chosen so. */
const FLAG = /^(?:--[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?:=.*)?|-[A-Za-z])$/s;
/** Flags whose value is a name, be it that of a program. */
const NAMING_FLAG = /^(?:-u|-U|-n|-h|--name|--user|--host|--hostname|--network|--network-alias|--link|--namespace)$/;

const MAX_NAME_CHARS = 80;
const MAX_PROGRAM_CHARS = Math.max(...OPTION_RULES.flatMap((rule) => rule.programs.map((program) => program.length)));

/** What the words before it tell about a word. */
type Line = { program: string; verbs: Set<string>; previous: string; pending: Pending | undefined };
type Pending =
  | { readonly after: string; readonly bareIsSecret: boolean; readonly flagEndsIt: boolean }
  | 'user and secret'
  | 'header';
type Placed = Exclude<Pending, string>;

const WHOLE: Placed = { after: '', bareIsSecret: true, flagEndsIt: false };
const PAIR: Placed = { after: ':', bareIsSecret: false, flagEndsIt: false };

const VERBS: ReadonlySet<string> = new Set(OPTION_RULES.map((rule) => rule.verb ?? ''));
const MAX_VERB_CHARS = Math.max(...Array.from(VERBS, (verb) => verb.length));
const HINT = new RegExp(PATTERN_RULES.map((rule) => rule.hint.source).join('|'), 'i');
const BY_PROGRAM = new Map<string, OptionRule[]>();
for (const rule of OPTION_RULES) {
  for (const program of rule.programs) BY_PROGRAM.set(program, [...(BY_PROGRAM.get(program) ?? []), rule]);
}

/** Each secret becomes `[redacted]`, whatever its length; the rest stays to the byte. `redacted`: something was taken. */
export function redactArguments(argv: readonly string[]): Redacted {
  const line = newLine();
  const out = argv.map((word) => redactWord(word, line, 0));
  return { argv: out, redacted: out.some((word, index) => word !== argv[index]) };
}

function newLine(): Line {
  return { program: '', verbs: new Set(), previous: '', pending: undefined };
}

function redactWord(word: string, line: Line, depth: number): string {
  const { previous, pending } = line;
  line.previous = word;
  line.pending = undefined;
  // An argument is what it is; quotes around a word inside a text are the shell's.
  const { open, body, close } = depth > 0 ? unquote(word) : { open: '', body: word, close: '' };
  const awaited = pending && redactAwaited(body, pending, line, depth);
  if (awaited !== undefined) return open + awaited + close;
  const isCode = CODE_FLAG.test(previous) && hasBlank(body);
  const known = isCode ? undefined : redactFlagged(body, previous, line, depth);
  noteProgram(body, previous, line, depth);
  if (known !== undefined) return open + known + close;
  if (depth === 0) return redactText(word);
  return hasBlank(word) && depth < MAX_DEPTH ? replaceQuotations(word, (inner) => redactShell(inner, depth + 1)) : word;
}

/** What the words before have announced; undefined where this word is something else. */
function redactAwaited(body: string, pending: Pending, line: Line, depth: number): string | undefined {
  if (pending === 'user and secret') return maskPair(body, 0, line, depth);
  if (pending !== 'header') {
    return pending.flagEndsIt && FLAG.test(body) ? undefined : maskFrom(body, 0, pending, depth);
  }
  if (FLAG.test(body)) return undefined;
  const scheme = schemeLength(body);
  if (scheme < body.length) return maskFrom(body, scheme, WHOLE, depth);
  line.pending = 'header';
  return body;
}

function redactFlagged(body: string, previous: string, line: Line, depth: number): string | undefined {
  const known = redactOption(body, line, depth);
  if (known !== undefined) return known;
  if (announcesHeader(body, previous)) {
    line.pending = 'header';
    return body;
  }
  return redactNamed(body, line, depth) ?? redactPair(body, line, depth);
}

function redactPair(body: string, line: Line, depth: number): string | undefined {
  const from = credentialsFrom(body);
  if (from === undefined) return undefined;
  if (from < body.length) return maskPair(body, from, line, depth);
  line.pending = 'user and secret';
  return undefined;
}

function maskPair(body: string, from: number, { program }: Line, depth: number): string | undefined {
  const pair = unquote(body.slice(from)).body;
  return secretOfPair(pair, program) === undefined ? undefined : maskFrom(body, from, PAIR, depth);
}

function redactText(text: string): string {
  let out = text;
  if (HINT.test(text)) {
    for (const { pattern } of PATTERN_RULES) out = out.replace(pattern, (_, ...groups) => around(groups[0], groups[1]));
  }
  out = redactNamedValues(redactAddresses(out));
  return hasBlank(out) ? redactShell(out, 1) : out;
}

/** What a pattern keeps before and after the secret. A missing group is undefined, or the match's offset. */
function around(before: unknown, after: unknown): string {
  return (typeof before === 'string' ? before : '') + MASK + (typeof after === 'string' ? after : '');
}

function redactShell(text: string, depth: number): string {
  if (!hasBlank(text)) return text;
  const line = newLine();
  return replaceWords(text, (word) => redactWord(word, line, depth));
}

/** Undefined when the program's rules say nothing about the word. */
function redactOption(body: string, line: Line, depth: number): string | undefined {
  for (const rule of BY_PROGRAM.get(line.program) ?? []) {
    if (rule.verb !== undefined && !line.verbs.has(rule.verb)) continue;
    const pending = { after: rule.after ?? '', bareIsSecret: rule.bareIsSecret ?? false, flagEndsIt: false };
    for (const flag of rule.flags) {
      const length = flagLength(body, flag, rule.cluster ?? '');
      if (length === 0) continue;
      if (length < body.length) return rule.form === 'next' ? undefined : maskFrom(body, length, pending, depth);
      if (rule.form === 'same') return undefined;
      line.pending = pending;
      return body;
    }
  }
  return undefined;
}

/** How much of the word is the flag: `--user` wants a `=` after it, `-u` takes the rest; 0 when it is another word. */
function flagLength(body: string, flag: string, cluster: string): number {
  if (body === flag) return flag.length;
  if (flag.startsWith('--')) return body.startsWith(`${flag}=`) ? flag.length + 1 : 0;
  if (!/^-[A-Za-z]$|[:]$/.test(flag)) return 0;
  let at = 1;
  while (body[0] === '-' && at < body.length && cluster.includes(body[at] as string)) at++;
  return body.startsWith(flag.slice(1), at) && body[0] === flag[0] ? at + flag.length - 1 : 0;
}

/** `--name value`, `--name=value`, `NAME=value`, `--set=name=value`, `-Dname=value`, `-name:value`. */
function redactNamed(body: string, line: Line, depth: number): string | undefined {
  if (body[0] === '-' && body.length <= MAX_NAME_CHARS && /^--?[A-Za-z][\w.-]*$/.test(body) && isSecretName(body)) {
    line.pending = { after: '', bareIsSecret: true, flagEndsIt: true };
    return body;
  }
  if (!body.includes('=') && !body.includes(':')) return undefined;
  const named = /(--?|)([A-Za-z_][\w.-]{0,79})([=:])/y;
  for (let found = named.exec(body); found; found = named.exec(body)) {
    const [, dashes, name = '', separator] = found;
    if (separator === ':' && dashes === '') return undefined;
    if (isSecretName(name) || (dashes === '-' && isSecretName(name.slice(1)))) {
      return maskFrom(body, named.lastIndex, WHOLE, depth);
    }
  }
  return undefined;
}

/** The word with its secret masked, which begins at `from` or after a separator in there. Quotes around it stay. */
function maskFrom(word: string, from: number, { after, bareIsSecret }: Placed, depth: number): string {
  const { open, body, close } = unquote(word.slice(from));
  const separatorAt = after === '' ? -1 : body.indexOf(after);
  if (after !== '' && separatorAt < 0 && !bareIsSecret) return word;
  const secret = body.slice(separatorAt + 1);
  if (NO_SECRET.test(secret) || (depth > 0 && SHELL_REFERENCE.test(secret))) return word;
  // A shell's `;` at the end of a word is not the secret's.
  const end = depth > 0 && close === '' && secret.endsWith(';') ? ';' : '';
  return word.slice(0, from) + open + body.slice(0, separatorAt + 1) + MASK + close + end;
}

/** Whose options follow. A name after `--name` is no program; in shell text a `;`, `|` or `&` ends the command. */
function noteProgram(body: string, previous: string, line: Line, depth: number): void {
  const program = programName(body);
  if (BY_PROGRAM.has(program) && !NAMING_FLAG.test(previous)) {
    line.program = program;
    line.verbs.clear();
    return;
  }
  if (body.length <= MAX_VERB_CHARS && VERBS.has(body)) line.verbs.add(body);
  const another = line.program !== '' && body[0] !== '-' && BY_PROGRAM.get(line.program)?.[0]?.runsAnother;
  if (another || (depth > 0 && ';|&'.includes(body.at(-1) ?? ' '))) line.program = '';
}

/** What follows the last `/` or the shell's mark; empty where that is longer than any program named in the rules. */
function programName(body: string): string {
  if (body[0] === '-') return '';
  for (let at = body.length - 1; at >= 0; at--) {
    if (endsName(body.charCodeAt(at))) return body.slice(at + 1);
    if (body.length - at > MAX_PROGRAM_CHARS) return '';
  }
  return body;
}

/** One of `;|&(\`/`, by its code: asked of every character there is. */
function endsName(code: number): boolean {
  return code === 0x2f || code === 0x3b || code === 0x7c || code === 0x26 || code === 0x28 || code === 0x60;
}
