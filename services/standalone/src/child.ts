/** A child process of the supervisor, tied to it by IPC: it ends when the connection does. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

export type Child<In, Out> = {
  readonly pid: number | undefined;
  readonly send: (message: In) => void;
  /** Resolves when it ends after `stop`; rejects when it ends by itself. */
  readonly done: Promise<void>;
  /** SIGTERM, then SIGKILL after the bound. */
  readonly stop: () => Promise<void>;
  readonly onMessage: (handler: (message: Out) => void) => void;
};

/** Ended without being asked to. */
export class ChildEnded extends Error {
  override readonly name = 'ChildEnded';
  readonly exitCode: number;
  /** On stderr, by itself; one that was killed, as by the kernel for want of memory, could not. */
  readonly hasSaidWhy: boolean;
  constructor(part: string, exitCode: number | null, signal: string | null) {
    super(signal === null ? `${part} ended with exit code ${exitCode}` : `${part} was killed (${signal})`);
    this.exitCode = exitCode ?? 1;
    this.hasSaidWhy = signal === null;
  }
}

const STOP_BOUND_MS = 15_000;

/**
 * Starts a TypeScript main in a process group of its own: Ctrl-C reaches the supervisor alone, which ends it in order.
 * `command` is one that runs the one given to it in its own place.
 */
export function startChild<In, Out>(
  part: string,
  main: URL | string,
  env: NodeJS.ProcessEnv,
  { nodeOptions = [], command = [] }: { nodeOptions?: readonly string[]; command?: readonly string[] } = {},
): Child<In, Out> {
  const [execPath = '', ...execArgv] = [...command, process.execPath, ...process.execArgv, ...nodeOptions];
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
  const child = fork(main, [], { detached: true, env, execPath, execArgv, stdio: [...stdio] });
  let stopping = false;
  const done = once(child, 'exit').then(([code, signal]) => {
    if (!stopping) throw new ChildEnded(part, code as number | null, signal as string | null);
  });
  // Whoever stops the parts one after the other looks at each only in its turn.
  done.catch(() => {});
  return {
    pid: child.pid,
    // To one that has just ended, having said why, there is nothing more to say; `done` tells.
    send: (message) => void (child.connected && child.send(message as object, () => {})),
    done,
    stop: async () => {
      stopping = true;
      await stopChild(child);
    },
    onMessage: (handler) => child.on('message', (message) => handler(message as Out)),
  };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), STOP_BOUND_MS);
  await ended;
  clearTimeout(killer);
}

/** The first message of this kind; rejects when the child ends before it. */
export function firstMessage<In, Out extends { kind: string }, K extends Out['kind']>(
  child: Child<In, Out>,
  kind: K,
): Promise<Extract<Out, { kind: K }>> {
  const arrived = new Promise<Extract<Out, { kind: K }>>((resolve) => {
    child.onMessage((message) => {
      if (message.kind === kind) resolve(message as Extract<Out, { kind: K }>);
    });
  });
  const ended = child.done.then(() => {
    throw new Error(`the child was stopped before it said ${kind}`);
  });
  const first = Promise.race([arrived, ended]);
  // Whoever waits for it may look only after starting other parts.
  first.catch(() => {});
  return first;
}
