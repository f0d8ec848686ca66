/** A process as a service manager keeps it: started with the same settings each time, its every end known. */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export type Supervised = {
  readonly name: string;
  /** Each start is a life; nothing may run when it begins. */
  start(): void;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** SIGTERM; resolves with the exit code, which is no complaint. */
  stop(): Promise<number | null>;
  readonly running: boolean;
  /** Ends that nobody asked for, and lines of its log that say error or fatal. */
  readonly complaints: readonly string[];
};

export type Launch = {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  /** Everything it prints goes there. */
  readonly logFile: string;
};

const SERIOUS = /"level":"(error|fatal)"/;
/** 64 KiB of stack traces help nobody. */
const SHOWN_CHARS = 1_500;

export function supervise({ name, command, env, logFile }: Launch): Supervised {
  const complaints: string[] = [];
  let child: ChildProcess | undefined;
  let gone: Promise<number | null> = Promise.resolve(null);
  let asked = true;
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null;

  const start = (): void => {
    if (running()) throw new Error(`${name} runs already`);
    asked = false;
    let tail = '';
    const [program, ...args] = command;
    const started = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    for (const stream of [started.stdout, started.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        appendFileSync(logFile, `${line}\n`);
        tail = `${tail}${line}\n`.slice(-SHOWN_CHARS);
        if (SERIOUS.test(line)) complaints.push(`${name}: ${line.slice(0, SHOWN_CHARS)}`);
      });
    }
    gone = new Promise((resolve) => {
      started.once('exit', (code, signal) => {
        if (!asked) complaints.push(`${name} ended by itself with ${code ?? signal}:\n${tail}`);
        resolve(code);
      });
    });
  };
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    asked = true;
    if (running()) child!.kill(signal);
    return gone;
  };
  return {
    ...{ name, start, complaints },
    async kill() {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    signal: (signal) => void child?.kill(signal),
    get running() {
      return running();
    },
  };
}
