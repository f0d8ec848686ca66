import { defineEvent, probeIdentity } from './field.ts';

/** Sign of life of a probe, with what an operator wants to know of it. */
export const heartbeat = defineEvent({
  name: 'heartbeat',
  id: 0,
  table: 'heartbeat_events',
  orderBy: ['node', 'ts'],
  doc: 'Sign of life of one probe, every few seconds.',
  fields: [
    ...probeIdentity,
    { name: 'probe_version', kind: 'text', from: 'probe', doc: 'Version of the probe.' },
    { name: 'hooks', kind: 'text', from: 'probe', doc: 'Hook family: lsm or tracepoint.' },
    { name: 'kernel', kind: 'text', from: 'probe', doc: 'Kernel release.' },
    {
      name: 'mode',
      kind: 'text',
      from: 'probe',
      doc: 'live, replay, or stopping: the last word of a probe that was asked to end.',
    },
    { name: 'outbox_depth', kind: 'u64', from: 'probe', doc: 'Messages not yet handed to the bus.' },
    { name: 'waiting_digests', kind: 'u32', from: 'probe', doc: 'Files waiting to be hashed.' },
    { name: 'held_descriptors', kind: 'u32', from: 'probe', doc: 'File descriptors held for hashing.' },
    { name: 'ring_backlog_bytes', kind: 'u64', from: 'probe', doc: 'Bytes of events in the ring, not yet read.' },
    {
      name: 'fanotify_backlog_bytes',
      kind: 'u64',
      from: 'probe',
      doc: 'Bytes of file events in the kernel, not yet read; 24 for each opened file.',
    },
  ],
});
