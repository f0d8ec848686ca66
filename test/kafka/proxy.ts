import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A way to a broker that can be made to lose answers. */
export type Proxy = {
  readonly port: number;
  /** While true, requests reach the broker, and the connection is cut where its answer would come back. */
  losesAnswers: boolean;
  close(): void;
};

export async function startProxy(target: () => number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const broker = connect(target(), '127.0.0.1');
    for (const socket of [client, broker]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        broker.destroy();
      });
    }
    client.on('data', (chunk) => broker.write(chunk));
    broker.on('data', (chunk) => {
      if (proxy.losesAnswers) client.destroy();
      else client.write(chunk);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: Proxy = {
    port: (server.address() as { port: number }).port,
    losesAnswers: false,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return proxy;
}
