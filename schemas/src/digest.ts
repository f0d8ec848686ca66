import {
  contentEvidence,
  defineEvent,
  execIdentity,
  placement,
  probeIdentity,
  writerFields,
  writerPath,
} from './field.ts';

/** A digest, or the final reason for its absence, that came after its exec or load had to leave as `pending`. */
export const digest = defineEvent({
  name: 'digest',
  id: 0,
  table: 'digest_events',
  orderBy: ['node', 'pid', 'start_ns'],
  doc: 'Resolves one `pending` exec or load; carries its whole sighting key so that roll-ups move without a join.',
  fields: [
    ...probeIdentity,
    ...execIdentity.map((field) => ({ ...field, from: 'probe' as const })),
    { name: 'event_ts', kind: 'time', from: 'probe', doc: 'Time of the exec or load it resolves.' },
    { name: 'role', kind: 'text', from: 'probe', doc: 'Role in the resolved event; of an exec always exec.' },
    { name: 'uid', kind: 'u32', from: 'probe', doc: 'Real user id in the resolved event.' },
    { name: 'flags', kind: 'u32', from: 'probe', doc: 'Flags of the resolved event.' },
    { name: 'path', kind: 'text', from: 'probe', doc: 'Path in the resolved event.' },
    { name: 'parent_path', kind: 'text', from: 'probe', doc: 'Parent path in the resolved event.' },
    ...writerFields.map((field) => ({ ...field, from: 'probe' as const })),
    writerPath,
    ...placement,
    ...contentEvidence,
    { name: 'repeats', kind: 'u32', from: 'probe', doc: 'Further loads that the resolved row stands for.' },
  ],
});
