/** Hooks on tracepoints that not every kernel has: the probe does without those it lacks. */
import type { Libbpf, Pointer } from './ffi.ts';

/** Programs, and the tracepoints each needs. */
const NEEDS = {
  // Linux 6.12: reads through the page cache.
  on_read: ['mm_filemap_get_pages'],
  // Linux 6.13, by a tracepoint that came with it: before, the other one is too dear (bpf/protect.h).
  on_protect: ['mmap_lock_released', 'ctime_ns_xchg'],
} as const;

/** BPF_TRACE_RAW_TP of include/uapi/linux/bpf.h. */
const TRACE_RAW_TP = 23;

/** Has the programs loaded with the object whose tracepoints exist, and names them. */
export function chooseOptionalHooks(libbpf: Libbpf, object: Pointer): string[] {
  const names = Object.entries(NEEDS).flatMap(([name, needs]) =>
    needs.every((tracepoint) => Number(libbpf.findBtfId(tracepoint, TRACE_RAW_TP)) > 0) ? [name] : [],
  );
  for (const name of names) libbpf.setAutoload(libbpf.findProgram(object, name), true);
  return names;
}
