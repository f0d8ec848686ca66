import { defineEvent, probeIdentity } from './field.ts';

/** What the pinned census had counted on one CPU when the probe looked; rolled up by `max`, so repeats agree. */
export const census = defineEvent({
  name: 'census',
  id: 0,
  table: 'census_events',
  orderBy: ['node', 'ts'],
  doc: 'Cumulative counts of the census, which goes on while no probe runs: per CPU since the census began.',
  fields: [
    ...probeIdentity,
    { name: 'cpu', kind: 'u32', from: 'probe', doc: 'CPU that was counted; 4294967295 where there is no census.' },
    {
      name: 'cpus',
      kind: 'u32',
      from: 'probe',
      doc: 'CPUs the kernel may have: with fewer rows than that a probe has not told all.',
    },
    { name: 'census_id', kind: 'u64', from: 'probe', doc: 'Random, made with the census; 0 where there is none.' },
    {
      name: 'taken_over',
      kind: 'u64',
      from: 'probe',
      doc: 'Execs counted before the first one that this run of the probe saw itself.',
    },
    { name: 'execs', kind: 'u64', from: 'probe', doc: 'Execs counted so far.' },
    { name: 'exits', kind: 'u64', from: 'probe', doc: 'Ended processes counted so far, forks without an exec too.' },
    { name: 'reason', kind: 'text', from: 'probe', doc: 'Why there is no census: no_bpffs, refused; else empty.' },
  ],
});
