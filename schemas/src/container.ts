import { defineEvent, probeIdentity } from './field.ts';

/** What a container runtime said of one container; once more when it has ended, and when it runs again. */
export const container = defineEvent({
  name: 'container',
  id: 0,
  table: 'container_events',
  orderBy: ['container_id', 'ts'],
  doc: 'Names and image of one container, as its runtime told them: the newest row of an id holds.',
  fields: [
    ...probeIdentity,
    { name: 'container_id', kind: 'text', from: 'probe', doc: 'The id that events carry.' },
    { name: 'runtime', kind: 'text', from: 'probe', doc: 'Runtime, as its cgroup tells it.' },
    { name: 'workload', kind: 'text', from: 'probe', doc: 'Workload id in its events.' },
    {
      name: 'deployed_as',
      kind: 'text',
      from: 'probe',
      doc: 'Workload id by its names; another one than in its events where the runtime answered too late for those.',
    },
    { name: 'container_name', kind: 'text', from: 'probe', doc: 'Its name; in Kubernetes within its pod.' },
    { name: 'namespace', kind: 'text', from: 'probe', doc: 'Kubernetes namespace; else empty.' },
    { name: 'pod', kind: 'text', from: 'probe', doc: 'Name of its pod; else empty.' },
    { name: 'image', kind: 'text', from: 'probe', doc: 'Image digest, as in its events; empty when not told.' },
    { name: 'image_id', kind: 'text', from: 'probe', doc: 'Digest of the image configuration on this node.' },
    { name: 'image_ref', kind: 'text', from: 'probe', doc: 'Image as whoever started it named it.' },
    { name: 'labels', kind: 'bytes', from: 'probe', doc: 'Labels as JSON; empty without any, or beyond 8 KiB.' },
    { name: 'told_by', kind: 'text', from: 'probe', doc: 'Who said so: runtime and socket.' },
    { name: 'valid_from', kind: 'time', from: 'probe', doc: 'When the runtime made it; 0 when it does not say.' },
    {
      name: 'valid_until',
      kind: 'time',
      from: 'probe',
      doc: 'By then nothing ran in it any more: the time of a look at all processes. 0 while it runs.',
    },
  ],
});
