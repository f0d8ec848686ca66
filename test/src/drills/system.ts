/** Bintrail as a service manager sees it: started, killed without a word, and started again on the same home. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import { type Answer, request } from '../e2e/bintrail.ts';
import type { Drill, Target } from './plan.ts';

const MAIN = fileURLToPath(new URL('../../../services/standalone/src/main.ts', import.meta.url));
const UP = /API\s+(http:\S+)/;

/** One life of Bintrail. Times are CLOCK_MONOTONIC in nanoseconds, as the account's. */
export type Life = {
  readonly startedNs: bigint;
  /** When it said that all is up; undefined when it never did. */
  readonly upNs: () => bigint | undefined;
  readonly isUp: Promise<void>;
  readonly exited: Promise<number | null>;
  readonly output: () => string;
  readonly call: (method: string, path: string, body?: unknown) => Promise<Answer>;
  /** Ctrl-C; the exit code. */
  readonly stop: () => Promise<number | null>;
};

export function startLife(homeDir: string, env: NodeJS.ProcessEnv): Life {
  const startedNs = process.hrtime.bigint();
  const child = spawn(process.execPath, [MAIN], {
    env: { ...process.env, BINTRAIL_HOME: homeDir, BINTRAIL_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const { output, up } = readOutput(child);
  let upNs: bigint | undefined;
  const isUp = Promise.race([
    up.then(() => {
      upNs = process.hrtime.bigint();
    }),
    exited.then((code) => {
      if (upNs === undefined) throw new Error(`Bintrail ended with ${code} before it was up:\n${output()}`);
    }),
  ]);
  // Whoever kills it while it starts does not wait for this.
  isUp.catch(() => {});
  const call = async (method: string, path: string, body?: unknown) => {
    const token = readFileSync(join(homeDir, 'token'), 'utf8').trim();
    return await request(`${UP.exec(output())?.[1]}${path}`, method, token, body);
  };
  const stop = async () => {
    child.kill('SIGINT');
    return await exited;
  };
  return { startedNs, upNs: () => upNs, isUp, exited, output, call, stop };
}

function readOutput(child: ChildProcess): { output: () => string; up: Promise<void> } {
  let output = '';
  const { promise: up, resolve } = Promise.withResolvers<void>();
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (UP.test(output)) resolve();
    });
  }
  return { output: () => output, up };
}

export type Part = { readonly pid: number; readonly name: Exclude<Target, 'everything'> };

const PARTS: readonly (readonly [Part['name'], RegExp])[] = [
  ['supervisor', /standalone\/src\/main\.ts/],
  ['backend', /standalone\/src\/backend\.ts/],
  ['probe', /probe\/src\/main\.ts/],
  ['clickhouse', /^[^\0]*clickhouse-host\0/],
];

/** Where the supervisor mounts a home that lies behind closed doors (services/standalone/src/home.ts). */
export function aliasOf(homeDir: string): string {
  return `/run/bintrail/${createHash('sha256').update(homeDir).digest('hex').slice(0, 16)}`;
}

/** Every living process on this home, whoever its parent is by now: their environment names the folder. */
export function partsOn(homeDir: string): Part[] {
  const alias = aliasOf(homeDir);
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    const environment = readProc(entry, 'environ');
    if (!environment.includes(`HOME=${homeDir}`) && !environment.includes(`HOME=${alias}`)) return [];
    const commandLine = readProc(entry, 'cmdline');
    const found = PARTS.find(([, pattern]) => pattern.test(commandLine));
    return found === undefined ? [] : [{ pid: Number(entry), name: found[0] }];
  });
}

function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}

/** Kills what the drill names, or the supervisor where that part does not run yet; returns who it was. */
export function kill(homeDir: string, { target }: Drill): Target {
  const parts = partsOn(homeDir);
  const named = parts.filter(({ name }) => target === 'everything' || name === target);
  const victims = named.length > 0 ? named : parts.filter(({ name }) => name === 'supervisor');
  if (victims.length === 0) throw new Error('nothing of Bintrail is left to kill: it ended by itself');
  for (const { pid } of victims) killNow(pid);
  return named.length > 0 ? target : 'supervisor';
}

export function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Resolves once none of these runs any more; they must end by themselves. */
export async function allGone(homeDir: string, parts: readonly Part[], withinMs: number): Promise<void> {
  const pids = new Set(parts.map(({ pid }) => pid));
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const left = partsOn(homeDir).filter(({ pid }) => pids.has(pid));
    if (left.length === 0) return;
    if (performance.now() > untilMs) {
      throw new Error(`still there ${withinMs} ms after the kill: ${left.map(({ name, pid }) => `${name} ${pid}`)}`);
    }
    await delay(20);
  }
}

/** The embedded store of a running Bintrail, by the password that root can read. */
export function openItsStore(homeDir: string): Store {
  const host = partsOn(homeDir).find(({ name }) => name === 'clickhouse');
  if (host === undefined) throw new Error('no ClickHouse host runs');
  const [, , , , port] = readProc(String(host.pid), 'cmdline').split('\0');
  const password = readFileSync(join(homeDir, 'clickhouse', 'password'), 'utf8');
  return openStore({ url: `http://127.0.0.1:${port}`, username: 'bintrail', password, database: 'bintrail' });
}
