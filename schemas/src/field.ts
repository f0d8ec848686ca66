/**
 * The language in which events are defined. One list of fields per event; the C struct, ring decoder, CBOR columns,
 * ClickHouse columns and API schema are all computed from it.
 */

/**
 * How a value is stored. `time` is u64 nanoseconds since the Unix epoch; `text` repeats (paths, names), `bytes` hardly
 * ever does (arguments): both are byte strings, UTF-8 by custom only. `digest` is a SHA-256, all zero when absent.
 */
export type Kind = 'u8' | 'u16' | 'u32' | 'u64' | 'i32' | 'time' | 'text' | 'bytes' | 'digest';

/** `kernel` fields are members of the C struct, `probe` fields are added in user space. */
export type Filler = 'kernel' | 'probe';

export type Field = { readonly name: string; readonly kind: Kind; readonly from: Filler; readonly doc: string };

export type EventDefinition<F extends readonly Field[] = readonly Field[]> = {
  readonly name: string;
  /** Tag of the ring record; 0 for events made in user space only. */
  readonly id: number;
  readonly table: string;
  /** Sorting key of the table, chosen for how the rows are asked for. */
  readonly orderBy: readonly string[];
  /** Engine of the table where that is not MergeTree. */
  readonly engine?: string;
  readonly doc: string;
  readonly fields: F;
};

/** Byte strings are carried as latin1 strings (one char per byte): lossless, hashable, and cheap to compare. */
type ValueOf<K extends Kind> = K extends 'text' | 'bytes' | 'digest'
  ? string
  : K extends 'u64' | 'time'
    ? bigint
    : number;

/** One event as an object: numbers, bigints for 64 bits, latin1 strings for bytes; a digest is 32 chars or ''. */
export type RowOf<D extends Pick<EventDefinition, 'fields'>> = {
  -readonly [F in D['fields'][number] as F['name']]: ValueOf<F['kind']>;
};

export function defineEvent<const F extends readonly Field[]>(event: EventDefinition<F>): EventDefinition<F> {
  return event;
}

/** Identity and time of an event that the kernel numbered. */
export const kernelIdentity = [
  {
    name: 'ts',
    kind: 'time',
    from: 'probe',
    doc: 'When it happened: the kernel boot clock plus the wall-clock offset at reading.',
  },
  { name: 'cpu', kind: 'u32', from: 'probe', doc: 'CPU that numbered the event.' },
  {
    name: 'cpu_seq',
    kind: 'u64',
    from: 'probe',
    doc: 'Sequence number on that CPU, taken before the ring reserve: a gap is a loss.',
  },
] as const satisfies readonly Field[];

/** Identity and time of an event that the probe made itself. */
export const probeIdentity = [
  { name: 'ts', kind: 'time', from: 'probe', doc: 'When the probe made the record.' },
  { name: 'stream', kind: 'u32', from: 'probe', doc: 'Stream of the probe that numbered the event.' },
  { name: 'seq', kind: 'u64', from: 'probe', doc: 'Sequence number in that stream.' },
] as const satisfies readonly Field[];

/** One program image of one process: (boot, pid, start_ns, self_exec_id). */
export const execIdentity = [
  { name: 'pid', kind: 'u32', from: 'kernel', doc: 'Process id (tgid) in the initial PID namespace.' },
  {
    name: 'self_exec_id',
    kind: 'u32',
    from: 'kernel',
    doc: 'task->self_exec_id: counts the program images of a process.',
  },
  { name: 'start_ns', kind: 'u64', from: 'kernel', doc: 'Start of the process on the boot clock, nanoseconds.' },
] as const satisfies readonly Field[];

/** Identity of the real inode, computed in BPF at the event (bpf/identity.h). Equality of these is the only join. */
export const fileIdentity = [
  { name: 'dev', kind: 'u32', from: 'kernel', doc: 'super_block.s_dev in the kernel encoding (major << 20 | minor).' },
  { name: 'generation', kind: 'u32', from: 'kernel', doc: 'inode.i_generation; 0 where the filesystem keeps none.' },
  { name: 'ino', kind: 'u64', from: 'kernel', doc: 'Inode number.' },
  {
    name: 'ctime_ns',
    kind: 'u64',
    from: 'kernel',
    doc: 'Change time, nanoseconds since the epoch, query flag masked off.',
  },
  { name: 'mtime_ns', kind: 'u64', from: 'kernel', doc: 'Modification time, nanoseconds since the epoch.' },
  { name: 'size', kind: 'u64', from: 'kernel', doc: 'File size in bytes.' },
  { name: 'nlink', kind: 'u32', from: 'kernel', doc: 'Hard links; 0 once unlinked.' },
  {
    name: 'writecount',
    kind: 'i32',
    from: 'kernel',
    doc: 'inode.i_writecount: negative while it is executed, positive while it can be written.',
  },
] as const satisfies readonly Field[];

/** A file as the kernel describes it: its identity, and what kind of thing it is. One struct in C (bt_file). */
export const fileFields = [
  ...fileIdentity,
  {
    name: 'fs_magic',
    kind: 'u32',
    from: 'kernel',
    doc: 'Superblock magic of the real inode (include/uapi/linux/magic.h).',
  },
  { name: 'flags', kind: 'u32', from: 'kernel', doc: 'Bits of flags.ts.' },
] as const satisfies readonly Field[];

/** Who wrote the content of a file last, as far as the kernel side saw it since it was loaded. All 0 where it did not. */
export const writerFields = [
  { name: 'writer_start_ns', kind: 'u64', from: 'kernel', doc: 'Start of the process that last wrote the file.' },
  {
    name: 'written_ns',
    kind: 'u64',
    from: 'kernel',
    doc: 'ctime of that write, nanoseconds since the epoch; 0 when the writer is not known.',
  },
  { name: 'writer_pid', kind: 'u32', from: 'kernel', doc: 'Process id of the writer; 0 when it is not known.' },
  { name: 'writer_self_exec_id', kind: 'u32', from: 'kernel', doc: 'self_exec_id of the image that wrote.' },
] as const satisfies readonly Field[];

/** Path of the program behind {@link writerFields}. */
export const writerPath = {
  name: 'writer_path',
  kind: 'text',
  from: 'probe',
  doc: 'Path of the program that last wrote the file, where the probe knows it.',
} as const satisfies Field;

/** What is known of the content, and of the package that owns the path. */
export const contentEvidence = [
  { name: 'sha256', kind: 'digest', from: 'probe', doc: 'SHA-256 of the bytes; all zero when absent.' },
  {
    name: 'digest_source',
    kind: 'text',
    from: 'probe',
    doc: 'held, exe, map_files, ima or cache; empty without a digest.',
  },
  {
    name: 'digest_strength',
    kind: 'text',
    from: 'probe',
    doc: 'exact, alive, metadata, racy or writable; empty without a digest.',
  },
  { name: 'digest_reason', kind: 'text', from: 'probe', doc: 'Why there is no digest; empty with one.' },
  {
    name: 'package',
    kind: 'text',
    from: 'probe',
    doc: 'Owning package as manager:name:architecture; empty when none.',
  },
  { name: 'package_version', kind: 'text', from: 'probe', doc: 'Version of that package.' },
  {
    name: 'package_match',
    kind: 'text',
    from: 'probe',
    doc: 'match, mismatch, no_record, claimed, unread; empty when no package owns the path.',
  },
  {
    name: 'package_algorithm',
    kind: 'text',
    from: 'probe',
    doc: 'Algorithm of the checksum the package records: md5, sha1 or sha256; empty when it records none.',
  },
] as const satisfies readonly Field[];

/** Where it ran, as an operator would say it. */
export const placement = [
  { name: 'workload', kind: 'text', from: 'probe', doc: 'Workload id derived from the cgroup.' },
  { name: 'container_id', kind: 'text', from: 'probe', doc: 'Container id; empty outside containers.' },
  { name: 'image', kind: 'text', from: 'probe', doc: 'Image digest; empty when unknown or outside containers.' },
] as const satisfies readonly Field[];
