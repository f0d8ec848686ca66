/** A service as a fleet runs it: a process of its own, its settings in the environment. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export type ServiceProcess = { readonly pid: number; stop(): Promise<void> };

/** Resolves when it is up. `flags` are Node's. */
export async function startService(
  name: 'ingest' | 'detect',
  env: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
): Promise<ServiceProcess> {
  const main = fileURLToPath(new URL(`../../services/${name}/src/main.ts`, import.meta.url));
  const child = spawn(process.execPath, [...flags, main], {
    env: { ...process.env, BINTRAIL_OPS_PORT: '0', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(child, 'exit');
  let stopping = false;
  let printed = '';
  const up = new Promise<void>((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      if (printed.includes('"msg":"up"')) resolve();
    });
  });
  // Nobody waits for it once the service is up: a service that ends by itself ends the bench.
  const failed = exited.then(([code, signal]) => {
    if (!stopping) throw new Error(`${name} ended with ${code ?? signal}: ${printed.slice(-2_000)}`);
  });
  await Promise.race([up, failed]);
  return {
    pid: child.pid!,
    async stop() {
      stopping = true;
      child.kill('SIGTERM');
      await exited;
    },
  };
}
