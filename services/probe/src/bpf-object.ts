/** Loads the BPF object and offers what it does: its ring, counters, the snapshot of processes, and describe_fd. */
import { closeSync } from 'node:fs';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { type RecordLayout, recordLayout } from '@bintrail/schemas/layout.ts';
import { mapping } from '@bintrail/schemas/mapping.ts';
import { type Bell, openBell } from './bell.ts';
import { type LoadOptions, loadFirst, program } from './bpf-load.ts';
import type { ChangeWay } from './change-hooks.ts';
import { isNull, type Libbpf, type Libc, lastErrno, nativePage, type Pointer } from './ffi.ts';
import { type FileState, readFileState } from './file-identity.ts';
import type { ImageId } from './image-table.ts';
import { interpreterNamer } from './interpreters.ts';
import { openRing, type Ring } from './ring.ts';
import { ringBytes } from './ring-sizes.ts';
import { type WriterOf, writerReader } from './writers.ts';

/** Cumulative counters of one event type on one CPU. */
export type Counters = { readonly cpu: number; readonly seen: bigint; readonly sent: bigint; readonly lost: bigint };

export type BpfObject = {
  /** Execs and exits. */
  readonly ring: Ring;
  /** Everything else: however much of it there is, it takes no room from an exec. */
  readonly codeRing: Ring;
  readonly ringFds: readonly number[];
  /** When the kernel wakes who waits for the rings. */
  readonly bell: Bell;
  /** What tells of changes to files. */
  readonly changes: ChangeWay;
  /** Names this state of a file as an interpreter, whose execs are told from then on; undefined takes that back. */
  readonly nameInterpreter: (file: FileState, family: number | undefined) => void;
  /** Attaches the hooks: events flow from here on. */
  readonly attach: () => void;
  /** Takes the hooks away: what is in the ring by then is the last, and counters stand still. */
  readonly detach: () => void;
  /** Counters of an event type, per CPU. */
  readonly counters: (eventId: number) => Counters[];
  /** The census, that exec included, at the first exec each CPU had since `attach`; 0 before it. */
  readonly takeovers: () => BigUint64Array;
  /** How often the kernel left a hook out because it was already running on that CPU, since the object was loaded. */
  readonly recursionMisses: (hook: Hook) => bigint;
  /** Exec records of running processes, one DataView each; of one process when a pid is given. */
  readonly snapshot: (pid?: number) => DataView[];
  /** Mapping records of the code that running processes have mapped, one DataView each. */
  readonly mappedCode: () => DataView[];
  /** The program images that run now, each once. */
  readonly alive: () => ImageId[];
  /** Who wrote this very state of a file, as far as the kernel side saw it. */
  readonly writerOf: WriterOf;
  /**
   * Has the kernel tell, in the ring for code, what it counted since the last call; what was not counted since then is
   * counted no more. `forget`, at least some milliseconds later: has it forgotten, and told once more.
   */
  readonly tellRepeats: (forget: boolean) => void;
  /** Describes a descriptor of this process; undefined when it is not open. */
  readonly describe: (fd: number) => FileState | undefined;
  /** The program behind `describe`, for other threads. */
  readonly describeProgramFd: number;
  readonly close: () => void;
};

/** After on_exec, which says whose exec it is, comes what else is told of it. */
const HOOKS = ['on_fork', 'on_exec', 'on_interpreter', 'on_exit', 'on_map'] as const;
export type Hook = (typeof HOOKS)[number];
const RINGS = ['exec_ring', 'code_ring'] as const;
/** struct bpf_test_run_opts of libbpf's bpf.h: size, ctx_in at 32, ctx_size_in at 48. */
const TEST_RUN_OPTS_BYTES = 88;

/** Loads without attaching. Throws SetupError with libbpf's words when the kernel refuses. */
export function loadBpfObject(libbpf: Libbpf, libc: Libc, path: string, options: LoadOptions = {}): BpfObject {
  const { object, changes, hooks } = loadFirst(libbpf, libc, path, HOOKS, options);
  const ringFds = RINGS.map((name) => mapFd(libbpf, object, name));
  const [ring, codeRing] = RINGS.map((name, which) =>
    openRing(libc, ringFds[which]!, ringBytes(libbpf, object, name)),
  ) as [Ring, Ring];
  const bell = openBell(libbpf, libc, mapFd(libbpf, object, 'bells'), mapFd(libbpf, object, 'known_programs'));
  const describeProgramFd = Number(libbpf.programFd(program(libbpf, object, 'describe_fd')));
  const links: Pointer[] = [];
  const detach = () => {
    for (const link of links.splice(0).reverse()) libbpf.destroyLink(link);
  };
  return {
    ...{ ring, codeRing, ringFds, bell, changes },
    attach: () => links.push(...hooks.map((name) => attachHook(libbpf, object, name))),
    counters: counterReader(libbpf, mapFd(libbpf, object, 'event_counters')),
    takeovers: takeoverReader(libbpf, mapFd(libbpf, object, 'takeovers')),
    recursionMisses: (hook) => recursionMisses(libbpf, program(libbpf, object, hook)),
    snapshot: (pid) => recordsOf(EXEC_LAYOUT, iterate(libbpf, libc, program(libbpf, object, 'snapshot'), pid)),
    mappedCode: () =>
      recordsOf(MAPPING_LAYOUT, iterate(libbpf, libc, program(libbpf, object, 'mapped_code'), undefined)),
    alive: () => imagesOf(iterate(libbpf, libc, program(libbpf, object, 'alive'), undefined)),
    writerOf: writerReader(
      changes === 'ctimes' ? 'ctime_ns' : 'mtime_ns',
      mapLookup(libbpf, mapFd(libbpf, object, 'last_writers')),
    ),
    nameInterpreter: interpreterNamer(libbpf, mapFd(libbpf, object, 'interpreters')),
    tellRepeats: repeatsProgram(libbpf, libc, Number(libbpf.programFd(program(libbpf, object, 'tell_repeats')))),
    describe: descriptorProgram(libbpf, libc, describeProgramFd),
    describeProgramFd,
    detach,
    close: () => {
      detach();
      ring.close();
      codeRing.close();
      bell.close();
      libbpf.closeObject(object);
    },
  };
}

function mapFd(libbpf: Libbpf, object: Pointer, name: string): number {
  const fd = Number(libbpf.findMapFd(object, name));
  if (fd < 0) throw new Error(`the BPF object has no map ${name}: rebuild it`);
  return fd;
}

function attachHook(libbpf: Libbpf, object: Pointer, name: string): Pointer {
  const link = libbpf.attach(program(libbpf, object, name)) as Pointer;
  if (!isNull(link)) return link;
  throw new SetupError(
    `the kernel refused to attach ${name}: errno ${lastErrno()}`,
    'run as root or with CAP_BPF and CAP_PERFMON',
  );
}

function counterReader(libbpf: Libbpf, fd: number): (eventId: number) => Counters[] {
  const cpus = Number(libbpf.possibleCpus());
  const values = new BigUint64Array(cpus * 3);
  return (eventId) => {
    if (Number(libbpf.lookup(fd, new Uint32Array([eventId]), values)) < 0) {
      throw new Error(`reading event_counters[${eventId}] failed: errno ${lastErrno()}`);
    }
    return Array.from({ length: cpus }, (_, cpu) => {
      const [seen, sent, lost] = values.subarray(cpu * 3, cpu * 3 + 3) as unknown as [bigint, bigint, bigint];
      return { cpu, seen, sent, lost };
    });
  };
}

function mapLookup(libbpf: Libbpf, fd: number): (key: Uint8Array, value: Uint8Array) => boolean {
  return (key, value) => Number(libbpf.lookup(fd, key, value)) === 0;
}

function takeoverReader(libbpf: Libbpf, fd: number): () => BigUint64Array {
  const values = new BigUint64Array(Number(libbpf.possibleCpus()));
  return () => {
    if (Number(libbpf.lookup(fd, new Uint32Array(1), values)) < 0) {
      throw new Error(`reading takeovers failed: errno ${lastErrno()}`);
    }
    return values;
  };
}

/** struct bpf_prog_info.recursion_misses (include/uapi/linux/bpf.h). */
const RECURSION_MISSES_AT = 208;

function recursionMisses(libbpf: Libbpf, hook: Pointer): bigint {
  const info = new DataView(new ArrayBuffer(RECURSION_MISSES_AT + 8));
  const size = new Uint32Array([info.byteLength]);
  if (Number(libbpf.objectInfo(libbpf.programFd(hook), new Uint8Array(info.buffer), size)) < 0) {
    throw new Error(`reading bpf_prog_info failed: errno ${lastErrno()}`);
  }
  return info.getBigUint64(RECURSION_MISSES_AT, true);
}

/** Runs describe_fd, which any thread may do: it looks at the descriptors of the process that calls. */
export function descriptorProgram(libbpf: Libbpf, libc: Libc, fd: number): BpfObject['describe'] {
  const { request, run } = syscallProgram(libbpf, libc, fd, 64);
  return (target) => {
    request.setUint32(0, target, true);
    run();
    if (request.getInt32(4, true) !== 0) return undefined;
    return readFileState(new DataView(request.buffer, request.byteOffset + 8));
  };
}

function repeatsProgram(libbpf: Libbpf, libc: Libc, fd: number): BpfObject['tellRepeats'] {
  const { request, run } = syscallProgram(libbpf, libc, fd, 4);
  return (forget) => {
    request.setUint32(0, forget ? 1 : 0, true);
    run();
  };
}

/** A program of the type `syscall`: `run` hands it the request, which it may write into. */
function syscallProgram(libbpf: Libbpf, libc: Libc, fd: number, requestBytes: number) {
  const page = nativePage(libc);
  const requestAt = 256;
  page.view.setBigUint64(0, BigInt(TEST_RUN_OPTS_BYTES), true);
  page.view.setBigUint64(32, page.pointer + BigInt(requestAt), true);
  page.view.setUint32(48, requestBytes, true);
  const run = () => {
    if (Number(libbpf.testRun(fd, page.pointer)) < 0) throw new Error(`BPF_PROG_TEST_RUN failed: errno ${lastErrno()}`);
  };
  return { request: new DataView(page.view.buffer, requestAt, requestBytes), run };
}

/** Everything an iterator over tasks writes; over those of one process when a pid is given. */
function iterate(libbpf: Libbpf, libc: Libc, iterator: Pointer, pid: number | undefined): Uint8Array<ArrayBuffer> {
  const page = nativePage(libc);
  // struct bpf_iter_attach_opts: size, pointer to union bpf_iter_link_info, its length; .task.pid is its second member.
  page.view.setBigUint64(0, 24n, true);
  if (pid !== undefined) {
    page.view.setBigUint64(8, page.pointer + 64n, true);
    page.view.setUint32(16, 16, true);
    page.view.setUint32(68, pid, true);
  }
  const link = libbpf.attachIter(iterator, page.pointer) as Pointer;
  libc.munmap(page.pointer, 4096);
  // ESRCH: the one process asked for is gone.
  if (isNull(link) && pid !== undefined) return new Uint8Array();
  if (isNull(link)) throw new Error(`attaching an iterator over tasks failed: errno ${lastErrno()}`);
  const fd = Number(libbpf.iterCreate(libbpf.linkFd(link)));
  try {
    return readToEnd(libc, fd);
  } finally {
    closeSync(fd);
    libbpf.destroyLink(link);
  }
}

// include/uapi/asm-generic/errno-base.h. bpf_seq_read gives up with EAGAIN after a million objects without output.
const EINTR = 4;
const EAGAIN = 11;

function readToEnd(libc: Libc, fd: number): Uint8Array<ArrayBuffer> {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(65_536);
    const length = Number(libc.read(fd, chunk, chunk.length));
    if (length === 0) return new Uint8Array(Buffer.concat(chunks));
    if (length > 0) chunks.push(chunk.subarray(0, length));
    else if (lastErrno() !== EINTR && lastErrno() !== EAGAIN)
      throw new Error(`reading an iterator over tasks failed: errno ${lastErrno()}`);
  }
}

const [EXEC_LAYOUT, MAPPING_LAYOUT] = [recordLayout(exec), recordLayout(mapping)];

/** Whole records one after another; each says its own size by its lengths. */
function recordsOf({ texts, sizeBytes }: RecordLayout, bytes: Uint8Array<ArrayBuffer>): DataView[] {
  const records: DataView[] = [];
  for (let at = 0; at + sizeBytes <= bytes.length; ) {
    const head = new DataView(bytes.buffer, at);
    const size = texts.reduce((sum, { offset }) => sum + head.getUint16(offset, true), sizeBytes);
    if (at + size > bytes.length) break;
    records.push(new DataView(bytes.buffer, at, size));
    at += size;
  }
  return records;
}

/** struct image of bpf/lineage.h: start_ns u64, pid u32, self_exec_id u32. */
const IMAGE_BYTES = 16;

function imagesOf(bytes: Uint8Array<ArrayBuffer>): ImageId[] {
  const view = new DataView(bytes.buffer);
  const images = new Map<number, ImageId>();
  for (let at = 0; at < bytes.length; at += IMAGE_BYTES) {
    const pid = view.getUint32(at + 8, true);
    images.set(pid, { pid, start_ns: view.getBigUint64(at, true), self_exec_id: view.getUint32(at + 12, true) });
  }
  return [...images.values()];
}
