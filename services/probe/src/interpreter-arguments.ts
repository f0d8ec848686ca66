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

export function sourceOf(family: Family, argv: readonly string[]): Source {
  if (family !== 'busybox') return parse(GRAMMARS[family], family, argv.slice(1));
  const words = shellArguments(argv);
  return words === undefined ? { kind: 'none' } : parse(GRAMMARS.shell, 'shell', words);
}

/**
 * The arguments of its shell; undefined when another of its programs runs, or none. As libbb/appletlib.c has it: the name it
 * is called by is a program's, or begins with `busybox`, and then the next word is taken for the name, by the same rule.
 */
function shellArguments(argv: readonly string[]): readonly string[] | undefined {
  const [called = '', ...rest] = argv;
  for (let at = 0, name = lastPart(called.replace(/^-/, '')); ; name = lastPart(rest[at++] ?? '')) {
    if (SHELL_NAMES.includes(name)) return isHelp(rest.slice(at)) ? undefined : rest.slice(at);
    if (!name.startsWith('busybox')) return undefined;
  }
}

/** What follows the last slash, which may be nothing. */
function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function isHelp(words: readonly string[]): boolean {
  return words.length === 1 && words[0] === '--help';
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

function longOption({ longCode = [], longValued = [] }: Grammar, word: string): Step {
  const [name = ''] = word.split('=');
  if (longCode.includes(name)) return { kind: 'none' };
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
