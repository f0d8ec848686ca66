/**
 * What keeps repeats out of the ring for code: how many changes and uses of files the kernel side keeps in mind, and for
 * how long. Sizes and time are decided in bpf/ by `npm run bench -- flood`, which alone sets others.
 */
import { isNull, type Libbpf, type Pointer, viewMemory } from './ffi.ts';

export type RepeatFilter = {
  /** Entries of told_changes (bpf/changes.h), which forgets the oldest. */
  readonly changes: number;
  /** Entries of uses (bpf/uses.h); what does not fit is told each time. */
  readonly uses: number;
  /** How long a change is not told again; 0: each is told. */
  readonly repeatAfterNs: bigint;
};

/** Before the object is loaded. */
export function setRepeatFilter(libbpf: Libbpf, object: Pointer, filter: RepeatFilter): void {
  resize(libbpf, object, 'told_changes', filter.changes);
  resize(libbpf, object, 'uses', filter.uses);
  const sizeBytes = new BigUint64Array(1);
  const value = libbpf.initialValue(findMap(libbpf, object, '.rodata.filter'), sizeBytes) as Pointer;
  if (isNull(value) || sizeBytes[0] !== 8n) throw new Error('the BPF object has no constant of the filter: rebuild it');
  new BigUint64Array(viewMemory(value, 8))[0] = filter.repeatAfterNs;
}

function resize(libbpf: Libbpf, object: Pointer, map: string, entries: number): void {
  if (Number(libbpf.setMaxEntries(findMap(libbpf, object, map), entries)) < 0) throw new Error(`${map} took no size`);
}

function findMap(libbpf: Libbpf, object: Pointer, name: string): Pointer {
  const map = libbpf.findMap(object, name) as Pointer;
  if (isNull(map)) throw new Error(`the BPF object has no map ${name}: rebuild it`);
  return map;
}
