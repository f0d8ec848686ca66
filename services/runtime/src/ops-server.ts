import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { SetupError } from './errors.ts';
import { createServer } from './http.ts';
import type { Metrics } from './metrics.ts';

export type OpsOptions = {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** What `/healthz` shows; it answers 200 as long as the process can answer. */
  readonly health: () => object;
  /** Whether the process can do its work: resolves, or rejects with why not. */
  readonly ready: () => Promise<void>;
};

export type OpsServer = {
  /** `http://host:port`, with the port that was taken for port 0. */
  readonly url: string;
  close(): Promise<void>;
};

// Who watches us gives up after a few seconds, and a dependency that takes as long serves nobody.
const READY_MS = 2_000;

/**
 * `/healthz`, `/readyz` and `/metrics` of a process without an API of its own, for orchestrators and Prometheus. Open, and
 * on the loopback address unless told otherwise: nothing here is secret, and nothing can be changed.
 * @throws SetupError when the address cannot be taken
 */
export async function listenOps(options: OpsOptions): Promise<OpsServer> {
  const server = createServer((request, response) => {
    answer(options, request.url ?? '', response).catch((error: Error) => send(response, 500, { error: error.name }));
  });
  server.listen(options.port, options.host);
  await once(server, 'listening').catch((cause: NodeJS.ErrnoException) => {
    const where = `${options.host}:${options.port}`;
    throw new SetupError(`cannot listen on ${where} (${cause.code})`, 'set BINTRAIL_OPS_HOST and BINTRAIL_OPS_PORT');
  });
  const { port } = server.address() as { port: number };
  const { host } = options;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer({ metrics, health, ready }: OpsOptions, url: string, response: ServerResponse): Promise<void> {
  const [path] = url.split('?');
  if (path === '/healthz') send(response, 200, health());
  else if (path === '/readyz') {
    const why = await whyNotReady(ready);
    if (why === undefined) send(response, 200, { ready: true });
    else send(response, 503, { ready: false, why });
  } else if (path === '/metrics') {
    const { contentType, body } = await metrics.text();
    response.writeHead(200, { 'content-type': contentType }).end(body);
  } else send(response, 404, { error: 'there are /healthz, /readyz and /metrics' });
}

async function whyNotReady(ready: () => Promise<void>): Promise<string | undefined> {
  const tooLong = Promise.withResolvers<string>();
  const timer = setTimeout(() => tooLong.resolve('no answer in time'), READY_MS);
  const asked = ready().then(
    () => undefined,
    (error: Error) => error.message,
  );
  const why = await Promise.race([asked, tooLong.promise]);
  clearTimeout(timer);
  return why;
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
