import { SetupError } from './errors.ts';

/** Understands a setting's text. `allowed` completes "must be …"; undefined means the text is not that. */
export type Parser<T> = { readonly allowed: string; parse(text: string): T | undefined };

export type Setting<T> = {
  readonly name: string;
  readonly allowed: string;
  /** `text` is undefined when the variable is unset; the answer is undefined when that or the text is a fault. */
  read(text: string | undefined): { readonly value: T } | undefined;
};

export type Env = Readonly<Record<string, string | undefined>>;

function read<T>(parser: Parser<T>, text: string): { value: T } | undefined {
  const value = parser.parse(text);
  return value === undefined ? undefined : { value };
}

/** A setting with a default. */
export function setting<T>(name: string, parser: Parser<T>, byDefault: T): Setting<T> {
  const { allowed } = parser;
  return { name, allowed, read: (text) => (text === undefined ? { value: byDefault } : read(parser, text)) };
}

/** A setting that may be left out and is undefined then. */
export function optional<T>(name: string, parser: Parser<T>): Setting<T | undefined> {
  const { allowed } = parser;
  return { name, allowed, read: (text) => (text === undefined ? { value: undefined } : read(parser, text)) };
}

/** A setting without which the program cannot start. */
export function required<T>(name: string, parser: Parser<T>): Setting<T> {
  const { allowed } = parser;
  return { name, allowed, read: (text) => (text === undefined ? undefined : read(parser, text)) };
}

/**
 * Reads every setting of `spec` from `env`; an empty string counts as unset. Errors never repeat a value: it may be a
 * secret.
 * @throws SetupError naming all variables that are missing or wrong, and what each must be.
 */
export function readConfig<T extends object>(env: Env, spec: { readonly [K in keyof T]: Setting<T[K]> }): T {
  const config: Partial<T> = {};
  const faults: Setting<unknown>[] = [];
  for (const key of Object.keys(spec) as (keyof T)[]) {
    const found = spec[key].read(env[spec[key].name] || undefined);
    if (found === undefined) faults.push(spec[key]);
    else config[key] = found.value;
  }
  if (faults.length === 0) return config as T;
  throw new SetupError(
    `settings missing or not understood: ${faults.map(({ name }) => name).join(', ')}`,
    faults.map(({ name, allowed }) => `${name} must be ${allowed}`).join('; '),
  );
}

export const text: Parser<string> = { allowed: 'a text', parse: (value) => value };

/** A whole number from `min` to `max`, decimal digits only. */
export function integer({ min, max }: { min: number; max: number }): Parser<number> {
  return {
    allowed: `a whole number from ${min} to ${max}`,
    parse(value) {
      const number = Number(value);
      return /^-?\d{1,16}$/.test(value) && number >= min && number <= max ? number : undefined;
    },
  };
}

export const port = integer({ min: 0, max: 65_535 });

export function oneOf<const T extends string>(...words: readonly T[]): Parser<T> {
  return { allowed: `one of ${words.join(', ')}`, parse: (value) => words.find((word) => word === value) };
}

export const flag: Parser<boolean> = {
  allowed: 'true or false',
  parse: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
};

/** An absolute http or https URL. */
export const httpUrl: Parser<URL> = {
  allowed: 'a URL that begins with http:// or https://',
  parse(value) {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    return url && /^https?:$/.test(url.protocol) ? url : undefined;
  },
};

const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A size with its unit, in bytes: `512MiB`. */
export const sizeBytes = quantity('a size such as 512MiB or 2GiB', BYTES);

/** A length of time with its unit, in milliseconds: `7d`. */
export const durationMs = quantity('a time such as 500ms, 10s, 5m, 2h or 7d', MILLISECONDS);

function quantity(allowed: string, units: Readonly<Record<string, number>>): Parser<number> {
  return {
    allowed,
    parse(value) {
      const [, number, unit = ''] = value.match(/^(\d{1,12}(?:\.\d{1,3})?) ?([A-Za-z]+)$/) ?? [];
      const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
      return number === undefined || factor === undefined ? undefined : Number(number) * factor;
    },
  };
}
