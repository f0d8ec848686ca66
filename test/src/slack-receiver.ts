import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { type Payload, readPayload } from './slack-payload.ts';

/**
 * What goes wrong with one post. `recorded` says whether Slack took the message before it went wrong: then the sender
 * cannot know, and a repeat is right.
 */
export type Fault =
  | { readonly kind: 'rate-limited'; readonly retryAfter: string }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly body: string;
      readonly headers?: Record<string, string>;
    }
  | { readonly kind: 'garbage'; readonly recorded: boolean }
  | { readonly kind: 'hang'; readonly recorded: boolean }
  | { readonly kind: 'reset'; readonly recorded: boolean };

export type Received = Payload & { readonly atMs: number };

/** One request, whatever became of it. */
export type Attempt = {
  /** When it arrived. */
  readonly atMs: number;
  readonly outcome: Fault['kind'] | 'ok' | 'refused';
  /** The fault that was asked for; one may also be refused for coming too soon. */
  readonly fault: Fault | undefined;
  /** What it said, also when it was not taken; undefined where that is no message. */
  readonly message: Payload | undefined;
  /** Whether the message stands in the channel. */
  readonly taken: boolean;
};

export type SlackReceiver = {
  /** The webhook. Everything else under the same host answers 404 `no_service`. */
  readonly url: string;
  /** Messages taken, in order. */
  readonly messages: readonly Received[];
  readonly attempts: readonly Attempt[];
  /** The next posts fail so, one each, before anything else is looked at. */
  fail(...faults: Fault[]): void;
  /** Forgets the faults that are left. */
  heal(): void;
  /** Ends the posts that hang, without an answer. */
  hangUp(): void;
  /** Resolves once `ready` holds; it is asked again after each attempt. */
  until(ready: () => boolean): Promise<void>;
  close(): Promise<void>;
};

export type ReceiverOptions = {
  /** Messages that come sooner after one another than this are answered 429; 0 switches that off. Default 1 s. */
  readonly minIntervalMs?: number;
  readonly clock?: () => number;
  readonly port?: number;
  readonly onMessage?: (message: Received) => void;
};

const PATH = '/services/T00000000/B00000000/NotARealSecretButShapedLikeOne';
const MAX_BODY_BYTES = 1024 * 1024;

/** What the receiver knows while it runs. */
type Desk = {
  readonly messages: Received[];
  readonly attempts: Attempt[];
  readonly faults: Fault[];
  readonly hanging: Set<ServerResponse>;
  readonly minIntervalMs: number;
  readonly clock: () => number;
  readonly onMessage: (message: Received) => void;
  lastMs: number;
};

/** A server on 127.0.0.1 that treats posts as Slack's incoming webhooks do, with faults on demand. */
export async function startSlackReceiver(options: ReceiverOptions = {}): Promise<SlackReceiver> {
  const { minIntervalMs = 1000, clock = Date.now, onMessage = () => {} } = options;
  const desk: Desk = {
    ...{ messages: [], attempts: [], faults: [], hanging: new Set(), minIntervalMs, clock, onMessage },
    lastMs: Number.NEGATIVE_INFINITY,
  };
  const waiting = new Set<() => void>();
  const server = createServer((request, response) => {
    const atMs = clock();
    answer(desk, request, response).then(
      (answered) => {
        desk.attempts.push({ atMs, ...answered });
        for (const look of waiting) look();
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`,
    messages: desk.messages,
    attempts: desk.attempts,
    fail: (...more) => void desk.faults.push(...more),
    heal: () => void desk.faults.splice(0),
    hangUp: () => {
      for (const response of desk.hanging) response.destroy();
      desk.hanging.clear();
    },
    until: (ready) =>
      new Promise((resolve) => {
        const look = () => {
          if (!ready()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(desk: Desk, request: IncomingMessage, response: ServerResponse): Promise<Omit<Attempt, 'atMs'>> {
  const body = await readBody(request);
  const refused = (status: number, word: string) => {
    response.writeHead(status, { 'content-type': 'text/plain' }).end(word);
    return { outcome: 'refused', fault: undefined, message: undefined, taken: false } as const;
  };
  if (request.url !== PATH) return refused(404, 'no_service');
  if (request.method !== 'POST' || body === undefined) return refused(400, 'invalid_payload');
  const payload = readPayload(body);
  const message = 'error' in payload ? undefined : payload;
  const fault = desk.faults.shift();
  if (fault !== undefined) {
    const taken = 'recorded' in fault && fault.recorded && message !== undefined;
    if (taken) record(desk, message);
    if (fault.kind === 'hang') desk.hanging.add(response);
    answerFault(fault, response);
    return { outcome: fault.kind, fault, message, taken };
  }
  if (desk.clock() - desk.lastMs < desk.minIntervalMs) {
    answerFault({ kind: 'rate-limited', retryAfter: String(Math.ceil(desk.minIntervalMs / 1000)) }, response);
    return { outcome: 'rate-limited', fault, message, taken: false };
  }
  if ('error' in payload) return refused(400, payload.error);
  if (request.headers['content-type']?.split(';')[0] !== 'application/json') return refused(400, 'invalid_payload');
  record(desk, payload);
  response.end('ok');
  return { outcome: 'ok', fault, message, taken: true };
}

function record(desk: Desk, payload: Payload): void {
  const message = { ...payload, atMs: desk.clock() };
  desk.lastMs = message.atMs;
  desk.messages.push(message);
  desk.onMessage(message);
}

/** The body as text; undefined when it is larger than Slack would read. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request) {
    sizeBytes += chunk.length;
    if (sizeBytes <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return sizeBytes > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks).toString('utf8');
}

function answerFault(fault: Fault, response: ServerResponse): void {
  switch (fault.kind) {
    case 'rate-limited':
      response.writeHead(429, { 'retry-after': fault.retryAfter }).end('rate_limited');
      return;
    case 'status':
      response.writeHead(fault.status, fault.headers).end(fault.body);
      return;
    case 'garbage':
      response.end('<html>captive portal</html>');
      return;
    case 'reset':
      response.socket?.resetAndDestroy();
      return;
    case 'hang':
      return;
  }
}

const FAULTS: Readonly<Record<string, (argument: string) => Fault>> = {
  '429': (seconds) => ({ kind: 'rate-limited', retryAfter: seconds || '1' }),
  '500': () => ({ kind: 'status', status: 500, body: 'rollup_error' }),
  garbage: () => ({ kind: 'garbage', recorded: false }),
  hang: () => ({ kind: 'hang', recorded: false }),
  'hang-after': () => ({ kind: 'hang', recorded: true }),
  reset: () => ({ kind: 'reset', recorded: false }),
  'reset-after': () => ({ kind: 'reset', recorded: true }),
};

/** Reads `429:5,500,reset-after`; names are those of the table above. */
export function readFaults(script: string): Fault[] {
  return script
    .split(',')
    .filter((word) => word !== '')
    .map((word) => {
      const [name = '', argument = ''] = word.split(':');
      const make = Object.hasOwn(FAULTS, name) ? FAULTS[name] : undefined;
      if (make === undefined) throw new RangeError(`no such fault: ${name}; known: ${Object.keys(FAULTS).join(', ')}`);
      return make(argument);
    });
}

// By hand: node test/src/slack-receiver.ts --port 8089 --faults 429:5,500 — prints each message as a line of JSON.
if (import.meta.main) {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '0' }, faults: { type: 'string', default: '' } },
  });
  const faults = readFaults(values.faults);
  const receiver = await startSlackReceiver({
    port: Number(values.port),
    onMessage: (message) => console.log(JSON.stringify(message)),
  });
  receiver.fail(...faults);
  console.error(`SLACK_WEBHOOK_URL=${receiver.url}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void receiver.close());
}
