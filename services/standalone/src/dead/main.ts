/** `npm run dead`: lists, shows and replays the records that stages refused. */
import { fileURLToPath } from 'node:url';
import { SetupError, Transient } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { parseCommand, USAGE, UsageError } from './arguments.ts';
import { runCommand, type Terminal } from './commands.ts';
import { openBus } from './open-bus.ts';

const CHECKOUT = fileURLToPath(new URL('../../../..', import.meta.url));

/** sysexits.h: the command line is wrong; a dependency is away for now; what was asked for is not there. */
const EX_USAGE = 64;
const EX_TEMPFAIL = 75;
const EX_CONFIG = 78;

const log = createLog({ level: 'error', name: 'dead', human: process.stderr.isTTY === true });

const terminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  note: (line) => void process.stderr.write(`${line}\n`),
  clock: Date.now,
};

try {
  const command = parseCommand(process.argv.slice(2), Date.now());
  const { bus, close } = openBus(process.env, CHECKOUT, log);
  try {
    await runCommand(bus, command, terminal);
  } finally {
    await close();
  }
} catch (error) {
  process.exitCode = tell(error);
}

function tell(error: unknown): number {
  if (error instanceof UsageError) {
    terminal.note(`${error.message}\n${USAGE}`);
    return EX_USAGE;
  }
  if (error instanceof SetupError) {
    terminal.note(`${error.message}\n\nWhat to do: ${error.remedy}`);
    return EX_CONFIG;
  }
  if (!(error instanceof Transient)) throw error;
  terminal.note(`${error.message}\n\nWhat to do: try again; replay --all goes on where this ended`);
  return EX_TEMPFAIL;
}
