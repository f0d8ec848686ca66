import { defineEvent, execIdentity, fileFields, kernelIdentity, placement } from './field.ts';

/**
 * A change to code: to a file that is executable, becomes it, or is mapped as code at that moment. `pid`, `self_exec_id`
 * and `start_ns` name the program image that made it.
 */
export const file = defineEvent({
  name: 'file',
  id: 5,
  table: 'file_events',
  orderBy: ['workload', 'path', 'ts'],
  doc: 'The first of its kind that this program image did to this file; the kernel side counts the repeats.',
  fields: [
    ...kernelIdentity,
    ...execIdentity,
    { name: 'uid', kind: 'u32', from: 'kernel', doc: 'Real user id of the process that made the change.' },
    { name: 'action', kind: 'u32', from: 'kernel', doc: 'Position in FILE_ACTIONS (schemas/src/file-actions.ts).' },
    {
      name: 'repeats',
      kind: 'u32',
      from: 'kernel',
      doc: 'How often the same image did the same to this file since the event before this one.',
    },
    { name: 'file_mode', kind: 'u32', from: 'kernel', doc: 'inode.i_mode after the change.' },
    ...fileFields,
    {
      name: 'path',
      kind: 'text',
      from: 'kernel',
      doc: 'A name of the file in the mount namespace of the process; of a renamed one the name before. Empty: not known.',
    },
    {
      name: 'target',
      kind: 'text',
      from: 'kernel',
      doc: 'New name of a renamed or linked file, as the process gave it: relative ones are relative to a folder of its own.',
    },
    { name: 'cgroup_path', kind: 'text', from: 'kernel', doc: 'Full path of the cgroup of the process.' },
    { name: 'writer_path', kind: 'text', from: 'probe', doc: 'Path of the program that made the change.' },
    ...placement,
  ],
});
