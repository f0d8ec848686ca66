/** What tells of changes to files: the best that the kernel has and allows. */
import { existsSync } from 'node:fs';
import { isNull, type Libbpf, type Pointer } from './ffi.ts';

/**
 * `ctimes`: each time the kernel sets a ctime (Linux 6.13). `trampolines`: functions of the kernel on the way to a change.
 * `tracepoints`: inodes that become dirty, which is not every change on every filesystem (bpf/dirty.h).
 */
export type ChangeWay = 'ctimes' | 'trampolines' | 'tracepoints';

/** Programs of the object; a filesystem that the kernel or a module of it must have. */
const PROGRAMS: Record<ChangeWay, Record<string, 'ext4' | 'xfs' | undefined>> = {
  ctimes: { on_ctime: undefined, on_ctime_kept: undefined, on_ctime_set: undefined },
  trampolines: {
    ...{ on_dirty: undefined, on_xfs_times: 'xfs', on_created: undefined, on_setattr: undefined },
    ...{ on_setattr_done: undefined, on_rename: undefined, on_replace: undefined, on_link: undefined },
    on_unlink: undefined,
  },
  tracepoints: { on_dirty: undefined, on_ext4_dirty: 'ext4' },
};
/** They came together, with Linux 6.13. */
const CTIME_TRACEPOINTS = ['ctime_ns_xchg', 'ctime_xchg_skip', 'inode_set_ctime_to_ts'];

/** BPF_TRACE_RAW_TP and BPF_TRACE_FEXIT of include/uapi/linux/bpf.h. */
const TRACE_RAW_TP = 23;
const TRACE_FEXIT = 25;

/** A part of the kernel is in its own BTF, or, as a module that is loaded, in one of its own, where libbpf finds it. */
const FILESYSTEMS = {
  ext4: { name: 'ext4_mark_inode_dirty', type: TRACE_RAW_TP },
  xfs: { name: 'xfs_vn_update_time', type: TRACE_FEXIT },
} as const;

function hasFilesystem(libbpf: Libbpf, filesystem: keyof typeof FILESYSTEMS): boolean {
  const { name, type } = FILESYSTEMS[filesystem];
  return Number(libbpf.findBtfId(name, type)) > 0 || existsSync(`/sys/kernel/btf/${filesystem}`);
}

/** The ways to try, best first: those with trampolines may still be refused. */
export function changeWays(libbpf: Libbpf, trampolines: boolean): ChangeWay[] {
  const tellsCtimes = CTIME_TRACEPOINTS.every((name) => Number(libbpf.findBtfId(name, TRACE_RAW_TP)) > 0);
  if (tellsCtimes) return ['ctimes'];
  return trampolines ? ['trampolines', 'tracepoints'] : ['tracepoints'];
}

/** Has the programs of this way loaded with the object, and names them. */
export function chooseChangeHooks(libbpf: Libbpf, object: Pointer, way: ChangeWay): string[] {
  const programs = Object.entries(PROGRAMS[way]).flatMap(([name, filesystem]) =>
    filesystem === undefined || hasFilesystem(libbpf, filesystem) ? [name] : [],
  );
  for (const name of programs) {
    const program = libbpf.findProgram(object, name) as Pointer;
    if (isNull(program)) throw new Error(`the BPF object has no program ${name}: rebuild it`);
    libbpf.setAutoload(program, true);
  }
  return programs;
}
