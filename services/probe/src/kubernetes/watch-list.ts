/**
 * Follows a list of objects: reads it once, and then what changes, from the version that was read last. What is known
 * stays known while the server is away. (Kubernetes API concepts: resourceVersion, watch bookmarks, 410 Gone.)
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '@bintrail/runtime/retry.ts';
import type { ApiClient } from './api-client.ts';

export type ListedObject = { readonly metadata: { readonly resourceVersion?: unknown } };

export type WatchState =
  | { readonly state: 'untried' | 'answers'; readonly reason: '' }
  | { readonly state: 'fails'; readonly reason: string };

export type WatchOptions = {
  readonly api: ApiClient;
  /** Of the list, without a query. */
  readonly path: string;
  readonly fieldSelector: string;
  /** The list as it is: what is not in it is gone. */
  readonly onList: (items: readonly unknown[]) => void;
  readonly onChange: (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: unknown) => void;
  readonly onState: (state: WatchState) => void;
  readonly signal: AbortSignal;
  /** Between tries that fail; for tests. */
  readonly firstPauseMs?: number;
};

/** A server that is away for long is asked once in so long. */
const [FIRST_PAUSE_MS, LAST_PAUSE_MS] = [1_000, 60_000];
/** Servers end a watch then: spread out, as all probes may have begun theirs at once. */
const [WATCH_S, WATCH_SPREAD_S] = [300, 300];

/** How a round ended: an ordinary end, a version that is too old to go on from, or a failure. */
type Ended = { readonly kind: 'ended' | 'expired' } | { readonly kind: 'failed'; reason: string; retryAfterMs: number };

/** Resolves when `signal` aborts; rejects with what `onList` or `onChange` threw, which is no failure of the server. */
export async function watchList(options: WatchOptions): Promise<void> {
  const { signal, onState, firstPauseMs = FIRST_PAUSE_MS } = options;
  const bugs: unknown[] = [];
  const [onList, onChange] = [noting(options.onList, bugs), noting(options.onChange, bugs)];
  // '0' takes any state that the server has at hand, which is cheap; '' asks for the newest.
  const position: Position = { version: undefined, listFrom: '0' };
  const backoff = { baseMs: firstPauseMs, capMs: LAST_PAUSE_MS };
  let failures = 0;
  while (!signal.aborted) {
    const isAlive = () => {
      failures = 0;
      onState({ state: 'answers', reason: '' });
    };
    const ended = await round({ ...options, onList, onChange }, position, isAlive);
    if (bugs.length > 0) throw bugs[0];
    if (ended.kind === 'expired') Object.assign(position, { version: undefined, listFrom: '' });
    const hasFailed = ended.kind === 'failed';
    if (hasFailed && !signal.aborted) onState({ state: 'fails', reason: ended.reason });
    // Also after an ordinary end: a server that ends each watch at once must not be asked without pause.
    const waitMs = backoffMs(hasFailed ? failures : 0, hasFailed ? ended.retryAfterMs : 0, backoff, Math.random());
    failures = hasFailed ? failures + 1 : 0;
    await delay(waitMs, undefined, { signal }).catch(() => {});
  }
}

function noting<A extends unknown[]>(call: (...args: A) => void, thrown: unknown[]): (...args: A) => void {
  return (...args) => {
    try {
      call(...args);
    } catch (error) {
      thrown.push(error);
      throw error;
    }
  };
}

/** From which version to go on, undefined before the first list. */
type Position = { version: string | undefined; listFrom: '0' | '' };

async function round(options: WatchOptions, position: Position, isAlive: () => void): Promise<Ended> {
  try {
    const listed = position.version === undefined ? await readList(options, position) : undefined;
    if (listed !== undefined) return listed;
    return await readChanges(options, position, isAlive);
  } catch (error) {
    return { kind: 'failed', reason: error instanceof Error ? error.message : String(error), retryAfterMs: 0 };
  }
}

/** Undefined when it was read. */
async function readList(options: WatchOptions, position: Position): Promise<Ended | undefined> {
  const { api, path, fieldSelector, onList, signal } = options;
  const query = new URLSearchParams({ fieldSelector, resourceVersion: position.listFrom });
  const answer = await api.get(`${path}?${query}`, signal);
  if (!('body' in answer)) return endOf(answer);
  const { metadata, items } = answer.body as { metadata?: ListedObject['metadata']; items?: unknown };
  const version = metadata?.resourceVersion;
  if (typeof version !== 'string' || !Array.isArray(items)) return failed(`${path} is no list`);
  onList(items);
  position.version = version;
  return undefined;
}

async function readChanges(options: WatchOptions, position: Position, isAlive: () => void): Promise<Ended> {
  const { api, path, fieldSelector, onChange, signal } = options;
  const timeoutSeconds = String(Math.round(WATCH_S + Math.random() * WATCH_SPREAD_S));
  const query = {
    watch: '1',
    allowWatchBookmarks: 'true',
    fieldSelector,
    resourceVersion: position.version!,
    timeoutSeconds,
  };
  const answer = await api.stream(`${path}?${new URLSearchParams(query)}`, signal);
  if (!('lines' in answer)) return endOf(answer);
  isAlive();
  for await (const line of answer.lines) {
    const { type, object } = JSON.parse(line) as { type?: unknown; object?: ListedObject & { code?: unknown } };
    if (type === 'ERROR') return endOf({ status: Number(object?.code), message: 'the watch ended', retryAfterMs: 0 });
    const version = object?.metadata?.resourceVersion;
    if (typeof version !== 'string') return failed('an event of no version');
    if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') onChange(type, object);
    position.version = version;
  }
  return { kind: 'ended' };
}

/** Gone: the server no longer has the changes since that version. It answers so, or says so in the watch. */
const GONE = 410;

function endOf({ status, message, retryAfterMs }: { status: number; message: string; retryAfterMs: number }): Ended {
  if (status === GONE) return { kind: 'expired' };
  return { ...failed(`HTTP ${status}${message === '' ? '' : `: ${message}`}`), retryAfterMs };
}

function failed(reason: string): Extract<Ended, { kind: 'failed' }> {
  return { kind: 'failed', reason, retryAfterMs: 0 };
}
