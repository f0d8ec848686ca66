/**
 * How much the rings hold, by what the host's processors can bring at once. Their pages are taken in whole, in the kernel,
 * and count for whoever loads the object: idle or not, they are a large part of what a probe takes.
 */
import { cpus } from 'node:os';
import { isNull, type Libbpf, type Pointer } from './ffi.ts';

const MIB = 1024 * 1024;
/**
 * With a core of work beside it a storm of 50,000 execs on two filled 16 MiB, and some were lost; 560 bytes each, with their
 * ends, all of them fit into 32, should the probe get no processor meanwhile.
 */
const EXEC_MIB_PER_CPU = 16;
const MAX_MIB = 32;
const CODE_SHARE = 4;

export type RingSizes = { readonly exec_ring: number; readonly code_ring: number };

/** In bytes: a power of two of whole pages each, as the kernel wants it. */
export function ringSizes(processors: number): RingSizes {
  const execs = Math.min(EXEC_MIB_PER_CPU * processors, MAX_MIB) * MIB;
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
