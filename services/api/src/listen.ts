import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { getRequestListener } from '@hono/node-server';
import type { App } from './deps.ts';
import { PROBLEM_TYPE, Problem, type ProblemKind, problemBody, problemResponse, problemStatus } from './problem.ts';

export type ListenOptions = {
  readonly host: string;
  readonly port: number;
  /** When `close` cuts what is left. Default 5 s. */
  readonly closeBoundMs?: number;
};

export type Listening = {
  /** `http://host:port`, with the port that was taken for port 0. */
  readonly url: string;
  /** Stops accepting, lets running answers end (streams: by `closing`), and after the bound cuts what is left. */
  close(): Promise<void>;
};

const LIMITS = {
  // A slow sender holds a connection, nothing else; these bound how long.
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16 * 1024,
} as const;
const MAX_CONNECTIONS = 1_000;
const CLOSE_BOUND_MS = 5_000;

/** Serves the app over HTTP/1.1. Throws SetupError when the address cannot be taken. */
export async function listen(
  app: App,
  { host, port, closeBoundMs = CLOSE_BOUND_MS }: ListenOptions,
): Promise<Listening> {
  const answer = getRequestListener((request, env) => app.fetch(request, env), {
    // The process has other parts: its globals stay Node's.
    overrideGlobalObjects: false,
    errorHandler: () => problemResponse(new Problem('invalid-request', 'Host or path cannot be read.'), randomUUID()),
  });
  const server = createServer(LIMITS, (request, response) => void answer(request, response));
  hangUpOnceClosing(server);
  server.maxConnections = MAX_CONNECTIONS;
  server.on('clientError', refuse);
  await bind(server, host, port);
  const address = server.address();
  const taken = typeof address === 'object' && address !== null ? address.port : port;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    close: () => close(server, closeBoundMs),
  };
}

/**
 * `close` ends the connections that are idle at that moment. One with an answer under way would stay for its next
 * request, and hold the close up to its bound: it ends with that answer.
 */
function hangUpOnceClosing(server: Server): void {
  server.on('request', (_, response) => {
    response.once('close', () => {
      if (!server.listening) server.closeIdleConnections();
    });
  });
}

async function bind(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const remedy = code === 'EADDRINUSE' ? 'end what listens there, or set BINTRAIL_PORT' : 'set BINTRAIL_HOST';
    throw new SetupError(`the api cannot listen on ${host}:${port}: ${message}`, remedy);
  }
}

const FAULTS: Readonly<Record<string, readonly [ProblemKind, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', `Headers may take ${LIMITS.maxHeaderSize} bytes.`],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'The request did not arrive in time.'],
};

/** Answers what is no HTTP request. Node has given it up already: there is only the socket to write to. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [kind, detail] = FAULTS[error.code ?? ''] ?? (['invalid-request', 'This is not HTTP.'] as const);
  const body = problemBody(new Problem(kind, detail), randomUUID());
  const head = [
    `HTTP/1.1 ${problemStatus(kind)} Refused`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

async function close(server: Server, boundMs: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const cut = setTimeout(() => server.closeAllConnections(), boundMs);
  await closed;
  clearTimeout(cut);
}
