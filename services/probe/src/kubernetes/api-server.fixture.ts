/**
 * For tests: answers as a Kubernetes API server does where it is asked for pods and their controllers, and fails in the
 * ways it can (API concepts: watch, bookmarks, 410 Gone; API conventions: Status). Over TLS, by the token of the day.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubernetesAccess } from './access.ts';
import { type ApiObjects, type Change, createApiObjects, nodeOf } from './api-objects.fixture.ts';

export const NODE = 'node-1';

export type ApiServer = {
  readonly access: KubernetesAccess;
  readonly objects: ApiObjects;
  /** What it answers with; changed while it runs. */
  readonly faults: {
    /** Everything with this status; with 'reset' no answer at all. */
    status: number | 'reset' | undefined;
    /** These resources with 403. */
    readonly refused: Set<string>;
    /** Whether a version that is gone is told of by a status, or within the watch. */
    goneBy: 'status' | 'event';
  };
  readonly bookmark: () => void;
  /** Ends every watch: at the end of a line, or within the line of the next change. */
  readonly cut: (how: 'between' | 'within') => void;
  /** A new token in the file; the old one is refused. */
  readonly renewToken: () => void;
  readonly requests: URL[];
  readonly watches: () => number;
  readonly close: () => Promise<void>;
};

type Watches = ReturnType<typeof createWatches>;

export async function openApiServer(): Promise<ApiServer> {
  const folder = mkdtempSync(join(tmpdir(), 'bt-kube-'));
  const [tokenPath, caPath, keyPath] = [join(folder, 'token'), join(folder, 'ca.crt'), join(folder, 'tls.key')];
  makeCertificate(keyPath, caPath);
  const watches = createWatches();
  const objects = createApiObjects(watches.tell);
  const faults: ApiServer['faults'] = { status: undefined, refused: new Set(), goneBy: 'event' };
  const requests: URL[] = [];
  const sockets = new Set<Socket>();
  let tokens = 0;
  const renewToken = () => {
    tokens += 1;
    writeFileSync(tokenPath, `token-${tokens}\n`, { mode: 0o600 });
  };
  renewToken();
  const server = createServer({ key: readFileSync(keyPath), cert: readFileSync(caPath) }, (request, response) => {
    const url = new URL(request.url!, 'https://server');
    requests.push(url);
    if (faults.status === 'reset') request.socket.destroy();
    else if (request.headers.authorization !== `Bearer token-${tokens}`) refuse(response, 401, 'Unauthorized');
    else if (faults.status !== undefined) refuse(response, faults.status, 'as told');
    else answer({ objects, faults, watches }, url, request, response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
    rmSync(folder, { recursive: true });
  };
  return {
    access: { server: new URL(`https://127.0.0.1:${port}`), tokenPath, caPath, node: NODE },
    ...{ objects, faults, renewToken, requests, close, watches: watches.count, cut: watches.cut },
    bookmark: () => watches.send(objects.bookmark()),
  };
}

function answer(
  { objects, faults, watches }: Pick<ApiServer, 'objects' | 'faults'> & { readonly watches: Watches },
  url: URL,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const resource = /\/(pods|replicasets|jobs)(?:\/|$)/.exec(url.pathname)?.[1] ?? '';
  const node = url.searchParams.get('fieldSelector')?.replace('spec.nodeName=', '') ?? '';
  const from = url.searchParams.get('watch') === '1' ? Number(url.searchParams.get('resourceVersion')) : undefined;
  const isList = url.pathname === '/api/v1/pods';
  const found = isList ? objects.list(node) : objects.at(url.pathname);
  if (faults.refused.has(resource)) refuse(response, 403, `${resource} is forbidden`);
  else if (found === undefined) refuse(response, 404, 'not found');
  else if (from === undefined) send(response, 200, found);
  else if (!objects.isGone(from)) beginWatch({ node, response, socket: request.socket }, objects.since(from), watches);
  else if (faults.goneBy === 'status') refuse(response, 410, GONE);
  else response.end(lineOf({ type: 'ERROR', object: statusOf(410, GONE) }));
}

const GONE = 'too old resource version';

function beginWatch(watch: Watch, missed: ReturnType<ApiObjects['since']>, watches: Watches): void {
  watch.response.writeHead(200, { 'content-type': 'application/json' });
  watch.response.flushHeaders();
  watches.add(watch);
  for (const change of missed) if (nodeOf(change.object) === watch.node) watch.response.write(lineOf(change));
}

type Watch = { readonly node: string; readonly response: ServerResponse; readonly socket: Socket };

function createWatches() {
  const watches = new Set<Watch>();
  let cutsNext = false;
  return {
    count: () => watches.size,
    add: (watch: Watch) => {
      watches.add(watch);
      watch.response.on('close', () => watches.delete(watch));
    },
    send: (change: Change) => {
      for (const { response } of watches) response.write(lineOf(change));
    },
    tell: (change: Change & { readonly object: Parameters<typeof nodeOf>[0] }) => {
      const line = lineOf(change);
      for (const { node, response, socket } of watches) {
        if (nodeOf(change.object) !== node) continue;
        if (cutsNext) response.write(line.slice(0, line.length / 2), () => socket.destroy());
        else response.write(line);
      }
      cutsNext = false;
    },
    cut: (how: 'between' | 'within') => {
      cutsNext = how === 'within';
      if (how === 'between') for (const { response } of watches) response.end();
    },
  };
}

const lineOf = (change: Change) => `${JSON.stringify(change)}\n`;

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function refuse(response: ServerResponse, code: number, message: string): void {
  send(response, code, statusOf(code, message));
}

function statusOf(code: number, message: string) {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code };
}

/** A certificate that is its own authority, for the loopback address. */
export function makeCertificate(keyPath: string, certificatePath: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyPath];
  const names = ['-subj', '/CN=kubernetes', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, '-out', certificatePath, ...names], { stdio: 'pipe' });
}
