import { defineEvent, probeIdentity } from './field.ts';

/** Cumulative counters of one place on one CPU since the probe started; rolled up by `max`, so repeats agree. */
export const loss = defineEvent({
  name: 'loss',
  id: 0,
  table: 'loss_events',
  orderBy: ['node', 'ts'],
  doc: 'Cumulative (seen, sent, lost) per cpu, event type and place; seen = sent + lost.',
  fields: [
    ...probeIdentity,
    {
      name: 'cpu',
      kind: 'u32',
      from: 'probe',
      doc: 'CPU the counter belongs to; 4294967295 for places in user space.',
    },
    { name: 'event_type', kind: 'text', from: 'probe', doc: 'exec, exit, digest.' },
    { name: 'place', kind: 'text', from: 'probe', doc: 'Where it is counted: ring, fanotify, hash_queue.' },
    { name: 'seen', kind: 'u64', from: 'probe', doc: 'Events offered to this place so far.' },
    { name: 'sent', kind: 'u64', from: 'probe', doc: 'Events that passed it so far.' },
    { name: 'lost', kind: 'u64', from: 'probe', doc: 'Events lost there so far.' },
  ],
});
