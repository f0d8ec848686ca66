import {
  contentEvidence,
  defineEvent,
  execIdentity,
  fileFields,
  placement,
  probeIdentity,
  writerFields,
  writerPath,
} from './field.ts';

/** A file other than the program itself that an exec ran: a script, the loader, a library. */
export const load = defineEvent({
  name: 'load',
  id: 0,
  table: 'load_events',
  orderBy: ['workload', 'sha256', 'ts'],
  doc: 'A file that a program image runs besides its own binary.',
  fields: [
    ...probeIdentity,
    ...execIdentity.map((field) => ({ ...field, from: 'probe' as const })),
    { name: 'role', kind: 'text', from: 'probe', doc: 'script, library or loader.' },
    { name: 'uid', kind: 'u32', from: 'probe', doc: 'Real user id of the process.' },
    ...fileFields.map((field) => ({ ...field, from: 'probe' as const })),
    { name: 'path', kind: 'text', from: 'probe', doc: 'Canonical path of the file.' },
    { name: 'parent_path', kind: 'text', from: 'probe', doc: 'Path of the program that runs it: the interpreter.' },
    ...writerFields.map((field) => ({ ...field, from: 'probe' as const })),
    writerPath,
    ...placement,
    ...contentEvidence,
    {
      name: 'repeats',
      kind: 'u32',
      from: 'probe',
      doc: 'Further loads that this row stands for: the same file, by the same program, user and workload. Such a row has no process.',
    },
    {
      name: 'script_evidence',
      kind: 'text',
      from: 'probe',
      doc: 'Of a script: executed, read, opened, stdin or named.',
    },
  ],
});
