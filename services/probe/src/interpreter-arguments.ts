/** Where an interpreter takes its program from, by its arguments: pure, and as each family's manual has it. */
import type { Family } from './interpreters.ts';

/** `none`: the code is among the arguments, or is a module, or there is none. */
export type Source = { readonly kind: 'none' | 'stdin' } | { readonly kind: 'file'; readonly path: string };

/** Letters and names of options. */
type Grammar = {
  /** The code follows, or a module's name. */
  readonly code: string;
  /** A value follows: the rest of the word, or else the next one. */
  readonly valued: string;
  /** A value may follow in the same word only. */
  readonly joined?: string;
  /** The program itself follows. */
  readonly file?: string;
  readonly longCode?: readonly string[];
  readonly longValued?: readonly string[];
  readonly longFile?: readonly string[];
};

const GRAMMARS: Record<Exclude<Family, 'busybox'>, Grammar> = {
  shell: { code: 'c', valued: 'oO', longValued: ['--rcfile', '--init-file', '--init-command'] },
  python: { code: 'cm', valued: 'WX', longValued: ['--check-hash-based-pycs'] },
  perl: { code: 'eE', valued: 'I', joined: 'CDFMVilmx0' },
  ruby: { code: 'e', valued: 'CEIr', joined: 'FKTWix0' },
  node: {
    ...{ code: 'ep', valued: 'Cr', longCode: ['--eval', '--print', '--test', '--run'] },
    longValued: ['--require', '--import', '--loader', '--experimental-loader', '--conditions', '--env-file'],
  },
  php: { code: 'BERSr', valued: 'cdtz', file: 'fF', longCode: ['--run', '--server'] },
  lua: { code: '', valued: 'el' },
  tcl: { code: '', valued: '' },
};

const SHELL_NAMES = ['sh', 'ash', 'hush'];
/** Busybox's awk and sed, as they take options: operands are data, or the code itself. */
const FILTERS: ReadonlyMap<string, Grammar> = new Map([
  ['awk', { code: '', valued: 'FveW', file: 'f' }],
  ['sed', { code: '', valued: 'e', joined: 'i', file: 'f', longValued: ['--expression'], longFile: ['--file'] }],
]);

export function sourceOf(family: Family, argv: readonly string[]): Source {
  if (family !== 'busybox') return parse(GRAMMARS[family], family, argv.slice(1));
  const { name, words } = appletOf(argv);
  if (isHelp(words)) return { kind: 'none' };
  if (SHELL_NAMES.includes(name)) return parse(GRAMMARS.shell, 'shell', words);
  const filter = FILTERS.get(name);
  return filter === undefined ? { kind: 'none' } : parseFilter(filter, words);
}

/**
 * Which of its programs runs, and with what. As libbb/appletlib.c has it: the name it is called by is a program's, or begins
 * with `busybox`, and then the next word is taken for the name, by the same rule.
 */
function appletOf(argv: readonly string[]): { readonly name: string; readonly words: readonly string[] } {
  const [called = '', ...rest] = argv;
  let [name, at] = [lastPart(called.replace(/^-/, '')), 0];
  while (name.startsWith('busybox')) name = lastPart(rest[at++] ?? '');
  return { name, words: rest.slice(at) };
}

/** What follows the last slash, which may be nothing. */
function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function isHelp(words: readonly string[]): boolean {
  return words.length === 1 && words[0] === '--help';
}

/** The first of several; one after an operand, which sed takes as well, is not seen. */
function parseFilter(grammar: Grammar, words: readonly string[]): Source {
  for (let at = 0; at < words.length; at++) {
    const [word, next] = [words[at]!, words[at + 1]];
    if (word === '--' || !/^-./.test(word)) break;
    const found = word.startsWith('--') ? longOption(grammar, word, next) : letters(grammar, 'busybox', word, next);
    if (found === 'next') at += 1;
    else if (found !== 'on') return found.kind === 'file' && found.path === '-' ? { kind: 'stdin' } : found;
  }
  return { kind: 'none' };
}

function parse(grammar: Grammar, family: Family, words: readonly string[]): Source {
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === '-') return { kind: 'stdin' };
    if (word === '--') return fileOr(words[at + 1]);
    const isOption = word.startsWith('-') || (family === 'shell' && /^\+./.test(word));
    if (!isOption) return { kind: 'file', path: word };
    const found = word.startsWith('--') ? longOption(grammar, word) : letters(grammar, family, word, words[at + 1]);
    if (found === 'next') at += 1;
    else if (found !== 'on') return found;
  }
  return { kind: 'stdin' };
}

/** `on`: nothing is decided; `next`: nor by the next word, which is its value. */
type Step = Source | 'on' | 'next';

function longOption({ longCode = [], longValued = [], longFile = [] }: Grammar, word: string, next?: string): Step {
  const [name = '', ...value] = word.split('=');
  if (longCode.includes(name)) return { kind: 'none' };
  if (longFile.includes(name)) return fileOr(value.length > 0 ? value.join('=') : next);
  return longValued.includes(word) ? 'next' : 'on';
}

function letters({ code, valued, joined = '', file = '' }: Grammar, family: Family, word: string, next?: string): Step {
  for (let at = 1; at < word.length; at++) {
    const [letter, rest] = [word[at]!, word.slice(at + 1)];
    if (code.includes(letter)) return { kind: 'none' };
    // The shell's operands are positional parameters then.
    if (family === 'shell' && letter === 's') return { kind: 'stdin' };
    if (file.includes(letter)) return fileOr(rest || next);
    if (valued.includes(letter)) return rest === '' ? 'next' : 'on';
    if (joined.includes(letter)) return 'on';
  }
  return 'on';
}

function fileOr(path: string | undefined): Source {
  return path === undefined ? { kind: 'stdin' } : { kind: 'file', path };
}
