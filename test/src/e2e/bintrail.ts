/** Starts Bintrail as a user would, but for the set-up: the supervisor with its own home folder and a free port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** In no bpffs: tests of other things leave the machine's census alone. */
export const NO_CENSUS = '/nonexistent/bintrail';
const MAIN = fileURLToPath(new URL('../../../services/standalone/src/main.ts', import.meta.url));

export type Bintrail = {
  /** Of the supervisor. */
  readonly pid: number;
  readonly url: string;
  readonly token: string;
  /** Everything it printed so far, stdout and stderr. */
  readonly output: () => string;
  readonly get: (path: string) => Promise<Answer>;
  readonly send: (method: string, path: string, body?: unknown) => Promise<Answer>;
  /** Ctrl-C, and wait for the end; the exit code. */
  readonly stop: () => Promise<number | null>;
  /** The exit code, once it has ended for whatever reason. */
  readonly ended: Promise<number | null>;
};

// biome-ignore lint/suspicious/noExplicitAny: what a test asserts on is what types it
export type Answer = { readonly status: number; readonly type: string; readonly text: string; readonly json: any };

/** Why these tests cannot run here; undefined when they can. */
export function whyNotHere(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  return process.getuid?.() === 0 ? undefined : 'needs root: probes load BPF and mark filesystems';
}

export async function startBintrail(
  homeDir: string,
  env: NodeJS.ProcessEnv = {},
  { args = [], user = {} }: { args?: readonly string[]; user?: { uid?: number; gid?: number } } = {},
): Promise<Bintrail> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    ...user,
    env: { ...process.env, BINTRAIL_HOME: homeDir, BINTRAIL_PORT: '0', BINTRAIL_CENSUS: NO_CENSUS, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const url = await untilUp(child, () => output);
  const tokenPath = /^ {2}token\s+(\S+)$/m.exec(output)?.[1] ?? join(homeDir, 'token');
  const token = readFileSync(tokenPath, 'utf8').trim();
  const send = (method: string, path: string, body?: unknown) => request(`${url}${path}`, method, token, body);
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  const stop = () => {
    child.kill('SIGINT');
    return ended;
  };
  return { pid: child.pid!, url, token, output: () => output, get: (path) => send('GET', path), send, stop, ended };
}

/** Polls until `read` gives something other than undefined; fails with what it was waiting for. */
export async function eventually<T>(what: string, withinMs: number, read: () => Promise<T | undefined>): Promise<T> {
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const value = await read();
    if (value !== undefined) return value;
    if (performance.now() > untilMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await delay(100);
  }
}

export async function request(url: string, method: string, token: string | undefined, body?: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  return {
    status: response.status,
    type,
    text,
    json: type.includes('json') && text !== '' ? JSON.parse(text) : undefined,
  };
}

async function untilUp(child: ChildProcess, output: () => string): Promise<string> {
  const exited = once(child, 'exit').then(([code]) => {
    throw new Error(`Bintrail ended with ${code} before it was up:\n${output()}`);
  });
  const up = eventually('Bintrail is up', 60_000, async () => /API\s+(http:\S+)/.exec(output())?.[1]);
  return await Promise.race([up, exited]);
}
