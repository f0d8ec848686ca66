/** What `npm run dead` does on an open bus. */
import type { Bus } from '@bintrail/runtime/bus.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import type { Command } from './arguments.ts';
import { type DeadLetters, type Letter, readLetters, select } from './letters.ts';
import { obstacle, replay } from './replay.ts';
import { details, jsonLine, table } from './show.ts';

export type Terminal = {
  /** What was asked for, and what is said about it. */
  readonly out: (text: string | Uint8Array) => void;
  readonly note: (line: string) => void;
  readonly clock: () => number;
};

/** @throws SetupError for what is not there, Transient when the bus is full or away */
export async function runCommand(bus: Bus, command: Command, terminal: Terminal): Promise<void> {
  if (command.name === 'list') await list(bus, command, terminal);
  else if (command.name === 'show') await show(bus, command, terminal);
  else await replayChosen(bus, command, terminal);
}

async function list(bus: Bus, command: Command & { name: 'list' }, { out, note }: Terminal): Promise<void> {
  const dead = await readLetters(bus);
  const letters = select(dead, command.filter);
  if (command.json) for (const letter of letters) out(`${jsonLine(letter)}\n`);
  else if (letters.length > 0) out(`${table(letters)}\n`);
  tellOfTheRest(dead, letters.length, note);
}

function tellOfTheRest({ letters, unreadable }: DeadLetters, chosen: number, note: Terminal['note']): void {
  if (letters.size === 0) note('There are no dead letters.');
  else if (chosen === 0) note(`None of ${letters.size} dead letters is meant.`);
  if (unreadable > 0) note(`${unreadable} records of the topic are no dead letters.`);
}

async function show(bus: Bus, { id, raw }: Command & { name: 'show' }, { out }: Terminal): Promise<void> {
  const letter = named(await readLetters(bus, (each) => each === id), id);
  out(raw ? letter.bytes! : `${details(letter)}\n`);
}

function named({ letters }: DeadLetters, id: string): Letter {
  const letter = letters.get(id);
  if (letter !== undefined) return letter;
  throw new SetupError(
    `there is no dead letter ${id}`,
    `npm run dead -- list shows the ${letters.size} there are; they are kept as long as the bus keeps its topics`,
  );
}

async function replayChosen(bus: Bus, command: Command & { name: 'replay' }, terminal: Terminal): Promise<void> {
  const { note } = terminal;
  const dead = await readLetters(bus);
  const chosen = command.ids?.map((id) => named(dead, id)) ?? select(dead, command.filter).filter(isNew);
  const possible = chosen.filter((letter) => obstacle(letter) === undefined);
  const impossible = chosen.filter((letter) => !possible.includes(letter));
  const [first] = impossible;
  if (first !== undefined && command.ids) {
    throw new SetupError(
      `${first.id} cannot be replayed: ${obstacle(first)}`,
      'npm run dead -- show --raw saves its bytes',
    );
  }
  if (chosen.length === 0) tellOfTheRest(dead, 0, note);
  for (const letter of impossible) note(`${letter.id} left out: ${obstacle(letter)}`);
  if (command.dryRun) for (const { id, key } of possible) note(`${id} would be published again, key ${key}`);
  else await replayAll(bus, possible, terminal);
}

const isNew = ({ replayedAtMs }: Letter): boolean => replayedAtMs.length === 0;

async function replayAll(bus: Bus, letters: readonly Letter[], { note, clock }: Terminal): Promise<void> {
  let done = 0;
  const onReplayed = ({ id }: Letter): void => {
    done += 1;
    note(`${id} published again`);
  };
  try {
    await replay(bus, letters, { clock, onReplayed });
  } finally {
    note(`${done} of ${letters.length} replayed`);
  }
}
