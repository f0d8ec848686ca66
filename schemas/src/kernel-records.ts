import { EVENTS } from './events.ts';
import type { EventDefinition } from './field.ts';
import { interpreted, scriptRead } from './interpreted.ts';
import type { RecordDefinition } from './layout.ts';
import { mapping, repeats } from './mapping.ts';

const events: readonly EventDefinition[] = Object.values(EVENTS);

/** Every record the kernel writes: events that it fills itself, and what the probe makes others of. */
export const KERNEL_RECORDS: readonly RecordDefinition[] = [
  ...events.filter(({ id }) => id > 0),
  mapping,
  repeats,
  interpreted,
  scriptRead,
];
