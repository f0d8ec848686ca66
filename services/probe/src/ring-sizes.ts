/**
 * How much the rings hold, by what the host's processors can bring at once. Their pages are taken in whole, in the kernel,
 * and count for whoever loads the object: idle or not, they are a large part of what a probe takes.
 */
import { cpus } from 'node:os';
import { isNull, type Libbpf, type Pointer } from './ffi.ts';

const MIB = 1024 * 1024;
/** A storm of 20,000 execs on two cores busy with other work left 6 MB of execs waiting, and 1.5 MB of code (measured). */
const EXEC_MIB_PER_CPU = 8;
const [MIN_MIB, MAX_MIB] = [8, 32];
const CODE_SHARE = 4;

export type RingSizes = { readonly exec_ring: number; readonly code_ring: number };

/** In bytes: a power of two of whole pages each, as the kernel wants it. */
export function ringSizes(processors: number): RingSizes {
  const wanted = Math.min(Math.max(EXEC_MIB_PER_CPU * processors, MIN_MIB), MAX_MIB);
  const execs = 2 ** Math.floor(Math.log2(wanted)) * MIB;
  return { exec_ring: execs, code_ring: execs / CODE_SHARE };
}

/** Before the object is loaded. */
export function sizeRings(libbpf: Libbpf, object: Pointer): void {
  for (const [name, sizeBytes] of Object.entries(ringSizes(cpus().length))) {
    if (Number(libbpf.setMaxEntries(findRing(libbpf, object, name), sizeBytes)) < 0)
      throw new Error(`${name} took no size`);
  }
}

export function ringBytes(libbpf: Libbpf, object: Pointer, name: keyof RingSizes): number {
  return Number(libbpf.maxEntries(findRing(libbpf, object, name)));
}

function findRing(libbpf: Libbpf, object: Pointer, name: string): Pointer {
  const map = libbpf.findMap(object, name) as Pointer;
  if (isNull(map)) throw new Error(`the BPF object has no map ${name}: rebuild it`);
  return map;
}
