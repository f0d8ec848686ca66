/**
 * What counts as a secret in a command line, as data. `redact.ts` applies it; its test runs every example here.
 * Adding a rule is adding an object: no engine change unless it needs a new kind.
 */

/** Names of flags, environment variables, JSON keys, headers and query parameters. */
export type NameRule = {
  readonly kind: 'name';
  readonly name: string;
  /** A name counts when it ends in one of these, whatever stands before (`dbpassword`). Lower case, words joined by `-`. */
  readonly endings: readonly string[];
  /** The same, but as whole words only (`db-pass`, not `bypass`). */
  readonly words: readonly string[];
  /** Only there does the name mean a secret; everywhere when absent. */
  readonly where?: 'header' | 'query';
} & Examples;

/** A flag that carries a secret only with these programs. */
export type OptionRule = {
  readonly kind: 'option';
  readonly name: string;
  readonly programs: readonly string[];
  /** `-p`, `--user`, or a bare word such as `password`. */
  readonly flags: readonly string[];
  /** Secret in the same word, in the next one, or either. */
  readonly form: 'same' | 'next' | 'either';
  /** The secret begins after the first of these; a value without one holds none, unless `bareIsSecret`. */
  readonly after?: string;
  readonly bareIsSecret?: boolean;
  /** One-letter flags that may stand before it in the same word (`-su`). */
  readonly cluster?: string;
  /** Its first word that is no option is another program, whose options are its own. */
  readonly runsAnother?: boolean;
  /** Only once this word was seen (`docker login`). */
  readonly verb?: string;
} & Examples;

/** Secrets that give themselves away. */
export type PatternRule = {
  readonly kind: 'pattern';
  readonly name: string;
  /** A cheap test that succeeds wherever the pattern can, whatever the case: most arguments fail all of them. */
  readonly hint: RegExp;
  /** Group 1 stays before the mask, group 2 after it. Must be linear and global. */
  readonly pattern: RegExp;
} & Examples;

/** `scheme://user:secret@host`. */
export type UrlRule = { readonly kind: 'url'; readonly name: string } & Examples;

export type Examples = {
  /** argv with `{s}` in each place of a secret: comes out with the mask there and nothing else changed. */
  readonly secrets: readonly (readonly string[])[];
  /** argv that must come out as it went in. */
  readonly harmless: readonly (readonly string[])[];
};

export type Rule = NameRule | OptionRule | PatternRule | UrlRule;

export const MASK = '[redacted]';

/** Values that are none: empty, a switch, or a reference to a secret that lies elsewhere (docker build --secret). */
export const NO_SECRET = /^(?:true|false|null|none|(?:id|source|src)=[\w.-]{1,64}(?:,[\w=,./~-]{0,256})?)?$/i;

/** In shell text: a variable or a command's output, not the secret itself. */
export const SHELL_REFERENCE = /^(?:\$[({]|`|\$[A-Z_][A-Z0-9_]*$)/;

export const URL_RULE: UrlRule = {
  kind: 'url',
  name: 'user information in addresses',
  secrets: [
    ['git', 'clone', 'https://user:{s}@host/x.git'],
    ['psql', 'postgres://app:{s}@db:5432/x?sslmode=require'],
    ['redis-cli', '-u', 'redis://:{s}@h:6379/0'],
    ['sh', '-c', 'DATABASE_URL=mysql2://u:{s}@h/x rake db:migrate'],
    ['tool', '--dsn=https://{s}@o1.ingest.sentry.io/2'],
    ['curl', '-x', 'http://u:{s}@proxy:3128', 'https://h/'],
  ],
  harmless: [
    ['ssh', 'ssh://git@host:22/x'],
    ['npm', 'i', '--registry=https://h:8080/@scope/pkg'],
    ['curl', 'https://h:8443/a@b:c'],
  ],
};
