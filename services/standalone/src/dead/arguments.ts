/** The command line of `npm run dead`. */
import { parseArgs } from 'node:util';
import { durationMs } from '@bintrail/runtime/config.ts';
import type { Filter } from './letters.ts';

export type Command =
  | { readonly name: 'list'; readonly filter: Filter; readonly json: boolean }
  | { readonly name: 'show'; readonly id: string; readonly raw: boolean }
  | {
      readonly name: 'replay';
      /** Those named; undefined for all that pass the filter and were not replayed before. */
      readonly ids: readonly string[] | undefined;
      readonly filter: Filter;
      readonly dryRun: boolean;
    };

export const USAGE = `usage: npm run dead -- list   [--stage S] [--reason R] [--topic T] [--since 2h] [--json]
       npm run dead -- show   ID [--raw]
       npm run dead -- replay ID… [--dry-run]
       npm run dead -- replay --all [--stage S] [--reason R] [--topic T] [--since 2h] [--dry-run]
An ID is topic:partition:offset of the record that was refused, as list shows it.`;

/** Thrown for a command line that is none; `message` says what is wrong with it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const FILTER = {
  stage: { type: 'string' },
  reason: { type: 'string' },
  topic: { type: 'string' },
  since: { type: 'string' },
} as const;
const flag = { type: 'boolean', default: false } as const;

/** @throws UsageError */
export function parseCommand([name, ...args]: readonly string[], nowMs: number): Command {
  try {
    if (name === 'list') return parseList(args, nowMs);
    if (name === 'show') return parseShow(args);
    if (name === 'replay') return parseReplay(args, nowMs);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    throw code?.startsWith('ERR_PARSE_ARGS_') ? new UsageError(message) : error;
  }
  throw new UsageError(name === undefined ? 'list, show or replay?' : `unknown command: ${name}`);
}

function parseList(args: readonly string[], nowMs: number): Command {
  const { values } = parseArgs({ args: [...args], options: { ...FILTER, json: flag } });
  return { name: 'list', filter: filterOf(values, nowMs), json: values.json };
}

function parseShow(args: readonly string[]): Command {
  const { values, positionals } = parseArgs({ args: [...args], options: { raw: flag }, allowPositionals: true });
  const [id, another] = positionals;
  if (id === undefined || another !== undefined) throw new UsageError('show takes one ID');
  return { name: 'show', id: checkedId(id), raw: values.raw };
}

function parseReplay(args: readonly string[], nowMs: number): Command {
  const options = { ...FILTER, all: flag, 'dry-run': flag };
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const filter = filterOf(values, nowMs);
  const dryRun = values['dry-run'];
  if (values.all !== (positionals.length === 0)) throw new UsageError('replay takes IDs, or --all');
  if (values.all) return { name: 'replay', ids: undefined, filter, dryRun };
  if (Object.values(filter).some((part) => part !== undefined)) {
    throw new UsageError('--stage, --reason, --topic and --since go with --all');
  }
  return { name: 'replay', ids: [...new Set(positionals.map(checkedId))], filter, dryRun };
}

function checkedId(text: string): string {
  const [, topic, partition, offset] = /^([\w.-]+):(\d{1,9}):(\d{1,16})$/.exec(text) ?? [];
  if (topic === undefined) throw new UsageError(`${JSON.stringify(text)} is no ID: topic:partition:offset`);
  return `${topic}:${Number(partition)}:${Number(offset)}`;
}

type FilterValues = { stage?: string; reason?: string; topic?: string; since?: string };

function filterOf({ stage, reason, topic, since }: FilterValues, nowMs: number): Filter {
  return { stage, reason, topic, sinceMs: since === undefined ? undefined : sinceMsOf(since, nowMs) };
}

function sinceMsOf(since: string, nowMs: number): number {
  const agoMs = durationMs.parse(since);
  const atMs = agoMs === undefined ? Date.parse(since) : nowMs - agoMs;
  if (Number.isNaN(atMs)) throw new UsageError('--since takes a time such as 90m, 2h, 7d or 2026-11-23T12:00:00Z');
  return atMs;
}
