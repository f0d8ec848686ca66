import { alive } from './alive.ts';
import { census } from './census.ts';
import { container } from './container.ts';
import { digest } from './digest.ts';
import { exec } from './exec.ts';
import { exit } from './exit.ts';
import type { EventDefinition } from './field.ts';
import { file } from './file.ts';
import { heartbeat } from './heartbeat.ts';
import { load } from './load.ts';
import { loss } from './loss.ts';

/** Every event that travels on the bus. */
export const EVENTS = { exec, exit, load, digest, loss, census, heartbeat, alive, file, container } as const;

export type EventName = keyof typeof EVENTS;

/** Looks an event up by its name on the wire. */
export function eventByName(name: string): EventDefinition | undefined {
  return Object.hasOwn(EVENTS, name) ? EVENTS[name as EventName] : undefined;
}

/** Version of the message format. A reader takes version 1 as well, whose keys were names, and refuses any other. */
export const SCHEMA_VERSION = 2;
