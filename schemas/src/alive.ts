import { defineEvent, execIdentity } from './field.ts';

/**
 * A program image that ran at one look at all processes of a node. Who is in none of the `images` rows of a look that
 * arrived whole was gone by then, also where its exit was never seen.
 */
export const alive = defineEvent({
  name: 'alive',
  id: 0,
  table: 'alive_events',
  orderBy: ['node', 'boot', 'pid', 'start_ns', 'self_exec_id'],
  // Only when an image was last there is asked for: every minute's row takes the place of the one before.
  engine: 'ReplacingMergeTree(ts)',
  doc: 'A program image that ran when the probe looked at all processes; it looks every minute.',
  fields: [
    { name: 'ts', kind: 'time', from: 'probe', doc: 'When the look began; the same in all its rows.' },
    { name: 'images', kind: 'u32', from: 'probe', doc: 'Rows of this look: it is complete where as many arrived.' },
    ...execIdentity.map((field) => ({ ...field, from: 'probe' as const })),
  ],
});
