/** Loads the BPF object with what this kernel takes of it. */
import { release } from 'node:os';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { type ChangeWay, changeWays, chooseChangeHooks } from './change-hooks.ts';
import { collectLibbpfWarnings, isNull, type Libbpf, type Libc, lastErrno, type Pointer } from './ffi.ts';
import { chooseOptionalHooks } from './optional-hooks.ts';
import { type RepeatFilter, setRepeatFilter } from './repeat-filter.ts';
import { sizeRings } from './ring-sizes.ts';

export type LoadOptions = {
  /** The map of the census, which must count before this is attached. */
  readonly censusFd?: number | undefined;
  /** Whether BPF trampolines may be used, where the kernel allows them. */
  readonly trampolines?: boolean;
  /** What is left out as told before; by default as the object has it. */
  readonly filter?: RepeatFilter | undefined;
};

type Loaded = { readonly object: Pointer; readonly changes: ChangeWay; readonly hooks: readonly string[] };

/** With the first way to see changes that this kernel takes; `hooks` are to be attached: `always`, and what it has of others. */
export function loadFirst(
  libbpf: Libbpf,
  libc: Libc,
  path: string,
  always: readonly string[],
  { censusFd, trampolines = false, filter }: LoadOptions,
): Loaded {
  const warnings: string[] = [];
  const stopCollecting = collectLibbpfWarnings(libbpf, libc, warnings);
  for (const changes of changeWays(libbpf, trampolines)) {
    const object = libbpf.openFile(path, 0n) as Pointer;
    if (isNull(object)) break;
    if (censusFd !== undefined) shareCensus(libbpf, object, censusFd);
    sizeRings(libbpf, object);
    if (filter !== undefined) setRepeatFilter(libbpf, object, filter);
    const ofChanges = chooseChangeHooks(libbpf, object, changes);
    const optional = chooseOptionalHooks(libbpf, object);
    if (Number(libbpf.load(object)) >= 0 && (changes !== 'trampolines' || canAttach(libbpf, object, ofChanges))) {
      stopCollecting();
      return { object, changes, hooks: [...always, ...optional, ...ofChanges] };
    }
    libbpf.closeObject(object);
  }
  stopCollecting();
  throw loadError(path, warnings);
}

/** A trampoline may be refused only when it is attached. */
function canAttach(libbpf: Libbpf, object: Pointer, names: readonly string[]): boolean {
  const links = names.map((name) => libbpf.attach(program(libbpf, object, name)) as Pointer);
  const attached = links.filter((link) => !isNull(link));
  for (const link of attached) libbpf.destroyLink(link);
  return attached.length === names.length;
}

function shareCensus(libbpf: Libbpf, object: Pointer, fd: number): void {
  const map = libbpf.findMap(object, 'census_counts') as Pointer;
  if (isNull(map)) throw new Error('the BPF object has no map census_counts: rebuild it');
  if (Number(libbpf.reuseMap(map, fd)) < 0) throw new Error(`sharing the census failed: errno ${lastErrno()}`);
}

function loadError(path: string, warnings: readonly string[]): SetupError {
  const words = warnings.slice(-12).join('\n  ');
  return new SetupError(
    `the kernel (${release()}) refused ${path}: errno ${lastErrno()}\n  ${words}`,
    'run as root or with CAP_BPF and CAP_PERFMON, on a kernel 6.1 or newer built with CONFIG_DEBUG_INFO_BTF',
  );
}

/** Throws where the object was built from other sources. */
export function program(libbpf: Libbpf, object: Pointer, name: string): Pointer {
  const found = libbpf.findProgram(object, name) as Pointer;
  if (isNull(found)) throw new Error(`the BPF object has no program ${name}: rebuild it`);
  return found;
}
