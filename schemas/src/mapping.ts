import { execIdentity, fileFields } from './field.ts';
import type { RecordDefinition } from './layout.ts';

/**
 * What the kernel says when a file is mapped executable for the first time in a while: a record of the ring that never
 * leaves the probe, which makes a `load` of it.
 */
export const mapping = {
  name: 'mapping',
  id: 3,
  fields: [
    ...execIdentity,
    { name: 'uid', kind: 'u32', from: 'kernel', doc: 'Real user id in the initial user namespace.' },
    { name: 'in_exec', kind: 'u32', from: 'kernel', doc: '1 while execve is under way: the loader.' },
    { name: 'from_address', kind: 'u64', from: 'kernel', doc: 'Start of the mapping.' },
    { name: 'to_address', kind: 'u64', from: 'kernel', doc: 'End of the mapping.' },
    ...fileFields,
    { name: 'mnt_ns', kind: 'u32', from: 'kernel', doc: 'Mount namespace inode number.' },
    { name: 'path', kind: 'text', from: 'kernel', doc: 'Canonical path by dentry walk.' },
    { name: 'parent_path', kind: 'text', from: 'kernel', doc: 'Path of the program that maps it.' },
    { name: 'cgroup_path', kind: 'text', from: 'kernel', doc: 'Full path of the cgroup in its hierarchy.' },
  ],
} as const satisfies RecordDefinition;

/** How often the kernel met again what an earlier `mapping` told of, since it last said so. */
export const repeats = {
  name: 'repeats',
  id: 4,
  fields: [
    { name: 'of_seq', kind: 'u64', from: 'kernel', doc: 'Sequence number of that record.' },
    { name: 'last_ns', kind: 'u64', from: 'kernel', doc: 'Last time it was met, on the boot clock.' },
    { name: 'of_cpu', kind: 'u32', from: 'kernel', doc: 'CPU that numbered it.' },
    { name: 'count', kind: 'u32', from: 'kernel', doc: 'How often; may be 0 when it is forgotten.' },
    { name: 'forgotten', kind: 'u32', from: 'kernel', doc: '1 when the next one has a record of its own again.' },
  ],
} as const satisfies RecordDefinition;
