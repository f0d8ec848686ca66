import { type Logger, pino } from 'pino';
import { humanLine } from './log-human.ts';

export type Log = Logger;

export type LogOptions = {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  /** Which process this is, in every line. */
  readonly name: string;
  /** Lines for people at a terminal in place of JSON. */
  readonly human?: boolean;
  /** Further field names whose values must never be shown. */
  readonly secrets?: readonly string[];
  /** Where lines go, for tests; stderr by default. */
  readonly write?: (line: string) => void;
};

const SECRETS = [
  'authorization',
  'cookie',
  'password',
  'passwd',
  'secret',
  'token',
  'webhookUrl',
  'apiKey',
  'credentials',
];

/**
 * Structured log on stderr. Written synchronously and by this process itself: a transport's worker would keep what the
 * process gives up when it drops its privileges, and lose the last lines of a crash.
 */
export function createLog({ level, name, human = false, secrets = [], write = writeStderr }: LogOptions): Log {
  return pino(
    {
      level,
      base: { name },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
      redact: { paths: [...SECRETS, ...secrets].flatMap(anywhere), censor: '[redacted]' },
    },
    { write: human ? (line: string) => write(humanLine(JSON.parse(line))) : write },
  );
}

/** A field at the top of a line or up to two objects deep, which is as deep as our lines go. */
const anywhere = (field: string): string[] => [field, `*.${field}`, `*.*.${field}`];

function writeStderr(line: string): void {
  process.stderr.write(line);
}

export type ErrorFacts = {
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  readonly stack?: string;
  readonly cause?: ErrorFacts;
};

/** Longest chain of causes shown: it may be circular. */
const MAX_CAUSES = 8;

/** The fields of an error that are safe to show: libraries hang requests, headers and queries on theirs. */
export function describeError(error: unknown, depth = 0): ErrorFacts {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}
