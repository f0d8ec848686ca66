/**
 * The two requests that are made of a Kubernetes API server, as its documentation has them (API concepts: efficient
 * detection of changes). The official client for JavaScript would bring 68 packages and 85 MB of memory into the one
 * process with privileges, and its informer gives up at the first failure (both measured).
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { KubernetesAccess } from './access.ts';

/** `body`: what was answered with 200, or the message of a Status. */
export type ApiAnswer =
  | { readonly status: 200; readonly body: unknown }
  | { readonly status: number; readonly message: string; readonly retryAfterMs: number };

export type ApiStream =
  | { readonly status: 200; readonly lines: AsyncIterable<string> }
  | Exclude<ApiAnswer, { readonly status: 200; readonly body: unknown }>;

/** Both reject when nobody answers, or something that is no answer. */
export type ApiClient = {
  readonly get: (path: string, signal: AbortSignal) => Promise<ApiAnswer>;
  /** Lines of an answer that does not end. A last one that was cut is left out. */
  readonly stream: (path: string, signal: AbortSignal) => Promise<ApiStream>;
};

/** A list of a node's pods: at most some hundred, some 10 KB each. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** One object is at most 1.5 MiB in etcd, and somewhat more as JSON. */
const MAX_LINE_CHARS = 8 * 1024 * 1024;
const ANSWER_MS = 15_000;
/** Servers send a bookmark about once a minute: one that is silent for so long is not there any more. */
const SILENCE_MS = 180_000;

export function createApiClient(access: KubernetesAccess): ApiClient {
  const get: ApiClient['get'] = async (path, signal) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const response = await open(access, path, limit);
    const text = await textOf(response);
    return response.statusCode === 200 ? { status: 200, body: JSON.parse(text) } : refusalOf(response, text);
  };
  const stream: ApiClient['stream'] = async (path, signal) => {
    const response = await open(access, path, signal);
    if (response.statusCode !== 200) return refusalOf(response, await textOf(response));
    response.setTimeout(SILENCE_MS, () => response.destroy(new Error(`silent for ${SILENCE_MS / 1000} s`)));
    return { status: 200, lines: linesOf(response) };
  };
  return { get, stream };
}

async function open(
  { server, tokenPath, caPath }: KubernetesAccess,
  path: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const [token, ca] = await Promise.all([readFile(tokenPath, 'utf8'), readFile(caPath)]);
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token.trim()}`, accept: 'application/json', 'user-agent': 'bintrail' };
    // A connection of its own each time: one that died unnoticed is not used again, and a renewed authority counts.
    const asked = request(new URL(path, server), { ca, headers, signal, agent: false }, resolve);
    // Until an answer begins; a dead peer would otherwise be waited for as long as TCP does.
    asked.setTimeout(ANSWER_MS, () => asked.destroy(new Error(`no answer in ${ANSWER_MS / 1000} s`)));
    asked.on('error', reject);
    asked.end();
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new Error(`more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refusalOf({ statusCode = 0, headers }: IncomingMessage, text: string) {
  const seconds = Number(headers['retry-after'] ?? 0);
  return { status: statusCode, message: messageOf(text), retryAfterMs: seconds > 0 ? Math.min(seconds, 60) * 1000 : 0 };
}

/** Of a Status object; of anything else, such as a proxy's page, nothing. */
function messageOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message.slice(0, 300) : '';
  } catch {
    return '';
  }
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  response.setEncoding('utf8');
  let rest = '';
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    if (rest.length > MAX_LINE_CHARS) throw new Error(`a line of more than ${MAX_LINE_CHARS} characters`);
    yield* lines.filter((line) => line !== '');
  }
}
