import { execIdentity, fileFields } from './field.ts';
import type { RecordDefinition } from './layout.ts';

/**
 * What the kernel says when a program that is known to be an interpreter starts by itself, with no script of the kernel's
 * own: a record of the ring that never leaves the probe. The file is its standard input.
 */
export const interpreted = {
  name: 'interpreted',
  id: 6,
  fields: [
    ...execIdentity,
    { name: 'uid', kind: 'u32', from: 'kernel', doc: 'Real user id in the initial user namespace.' },
    { name: 'family', kind: 'u32', from: 'kernel', doc: 'What user space called the interpreter: its grammar.' },
    ...fileFields,
    { name: 'mnt_ns', kind: 'u32', from: 'kernel', doc: 'Mount namespace inode number.' },
    { name: 'stdin_mode', kind: 'u32', from: 'kernel', doc: 'inode.i_mode of descriptor 0; 0 when it is closed.' },
    {
      name: 'path',
      kind: 'text',
      from: 'kernel',
      doc: 'Canonical path of standard input, where it is a regular file.',
    },
    { name: 'parent_path', kind: 'text', from: 'kernel', doc: 'Path of the interpreter.' },
    { name: 'cwd', kind: 'text', from: 'kernel', doc: 'Working directory.' },
    { name: 'cgroup_path', kind: 'text', from: 'kernel', doc: 'Full path of the cgroup in its hierarchy.' },
    { name: 'argv', kind: 'text', from: 'kernel', doc: 'The first 1,024 bytes of its arguments, not redacted.' },
  ],
} as const satisfies RecordDefinition;

/** The first regular file that such a program reads, or has open when it forks or ends, and whose name its arguments give. */
export const scriptRead = {
  name: 'script_read',
  id: 7,
  fields: [
    ...execIdentity,
    { name: 'fd', kind: 'u32', from: 'kernel', doc: 'Its descriptor there.' },
    { name: 'opened', kind: 'u32', from: 'kernel', doc: '1 when it was found open, and not seen being read.' },
    ...fileFields,
    { name: 'path', kind: 'text', from: 'kernel', doc: 'Canonical path by dentry walk.' },
  ],
} as const satisfies RecordDefinition;
