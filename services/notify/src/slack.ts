import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { SetupError } from '@bintrail/runtime/errors.ts';
import type { SlackMessage } from './block-kit.ts';
import { type RejectionScope, rejectionOf } from './slack-errors.ts';

/** What became of one post. `code` is a short word for logs and metrics; nothing here holds the URL or answer text. */
export type PostResult =
  | { readonly kind: 'sent' }
  /** Certainly not delivered; `retryAfterMs` where the server said when to come back. */
  | { readonly kind: 'refused'; readonly code: string; readonly retryAfterMs: number | undefined }
  /** Perhaps delivered: it left us, and no answer that counts came back. */
  | { readonly kind: 'unknown'; readonly code: string }
  /** Certainly not delivered, and not before somebody does something about it. */
  | { readonly kind: 'rejected'; readonly code: string; readonly scope: RejectionScope; readonly remedy: string };

export type PostOptions = {
  /** For the whole exchange. */
  readonly timeoutMs: number;
  /** For Retry-After given as a date. */
  readonly clock: () => number;
};

/**
 * Posts one message; the result is a value whatever happens. `mayLeave` is asked when the connection stands, just before the
 * request is written: with false nothing leaves, and the result is `refused` with the code `not_ours`.
 */
export type Post = (message: SlackMessage, mayLeave: () => boolean) => Promise<PostResult>;

/** Slack answers with one word; more than this is not Slack. */
const MAX_ANSWER_BYTES = 4096;

type Answer = { readonly status: number; readonly retryAfter: string | undefined; readonly body: string };
type Exchange = Answer | { readonly failure: string; readonly reached: boolean };

/**
 * Prepares posting to an incoming webhook. Plain `node:https`, because it tells whether a request can have left:
 * before the connection stands nothing has, after that we assume it did. No redirect is followed.
 * @throws SetupError when the URL is none; its text does not repeat it.
 */
export function createPost(webhookUrl: string, { timeoutMs, clock }: PostOptions): Post {
  const url = readUrl(webhookUrl);
  return async (message, mayLeave) => {
    const exchange = await send(url, Buffer.from(JSON.stringify(message)), timeoutMs, mayLeave);
    if (!('failure' in exchange)) return readAnswer(exchange, clock());
    const { failure: code, reached } = exchange;
    return reached ? { kind: 'unknown', code } : { kind: 'refused', code, retryAfterMs: undefined };
  };
}

function readUrl(webhookUrl: string): URL {
  const url = URL.parse(webhookUrl);
  if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:')) return url;
  throw new SetupError(
    'SLACK_WEBHOOK_URL is not an http or https URL.',
    'Copy the whole webhook URL from Slack; it begins with https://hooks.slack.com/services/.',
  );
}

function send(url: URL, body: Buffer, timeoutMs: number, mayLeave: () => boolean): Promise<Exchange> {
  return new Promise((resolve) => {
    let reached = false;
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      // A connection of its own: a kept one may be closed by the server just as the request leaves.
      headers: { 'content-type': 'application/json', 'content-length': body.length, connection: 'close' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    whenConnected(request, url.protocol, () => {
      if (mayLeave()) {
        reached = true;
        request.end(body);
      } else {
        resolve({ failure: 'not_ours', reached });
        request.destroy();
      }
    });
    request.on('error', (error) => resolve({ failure: failureCode(error), reached }));
    request.on('response', (response) => {
      readBody(response).then(
        (text) =>
          resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'], body: text }),
        (error) => resolve({ failure: failureCode(error), reached }),
      );
    });
  });
}

/** Calls back once the connection stands; with TLS, once the handshake is done. */
function whenConnected(request: ClientRequest, protocol: string, connected: () => void): void {
  request.on('socket', (socket) => {
    if (!socket.connecting) connected();
    else socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', connected);
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks).toString('latin1', 0, MAX_ANSWER_BYTES);
}

/** A code such as ECONNREFUSED; messages of network errors hold the host name. */
function failureCode(error: unknown): string {
  const { name, code } = error as { name?: unknown; code?: unknown };
  if (name === 'AbortError' || name === 'TimeoutError') return 'timeout';
  return typeof code === 'string' ? code.toLowerCase() : 'network';
}

function readAnswer({ status, retryAfter, body }: Answer, nowMs: number): PostResult {
  if (status === 200) return body.trim() === 'ok' ? { kind: 'sent' } : { kind: 'unknown', code: 'not_ok' };
  // A gateway answered for Slack, which may have taken the message.
  if (status === 408 || status === 502 || status === 504) return { kind: 'unknown', code: `http_${status}` };
  if (status === 425 || status === 429 || status >= 500) {
    return { kind: 'refused', code: `http_${status}`, retryAfterMs: retryAfterMs(retryAfter, nowMs) };
  }
  // Any other success: something took it, but not Slack's way.
  if (status > 200 && status < 300) return { kind: 'unknown', code: `http_${status}` };
  return { kind: 'rejected', ...rejectionOf(status, body) };
}

const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** Retry-After in seconds or as a date (RFC 9110 §10.2.3); undefined for anything else. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  return HTTP_DATE.test(text) ? Math.max(0, Date.parse(text) - nowMs) : undefined;
}
