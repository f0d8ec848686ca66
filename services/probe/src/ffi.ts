/**
 * The only foreign functions of the project: libbpf and libc through koffi, each with its C prototype. koffi converts
 * every argument by these, so a wrong one is a wrong call into native memory: keep them next to the manual.
 * Pointers are bigints (NULL is passed as 0n, and comes back as null); buffers are passed as typed arrays and written in place.
 */

import { SetupError } from '@bintrail/runtime/errors.ts';
import koffi from 'koffi';

/** An address in this process. NULL arrives as null. */
export type Pointer = bigint;

export function isNull(pointer: Pointer | null): boolean {
  return pointer === null || pointer === 0n;
}

function openLibrary(names: readonly string[], remedy: string): ReturnType<typeof koffi.load> {
  for (const name of names) {
    try {
      return koffi.load(name);
    } catch {
      // Tried under its next name; the last failure is reported below.
    }
  }
  throw new SetupError(`none of ${names.join(', ')} can be loaded`, remedy);
}

/** libc calls. All but mmap return -1 and set errno on failure, as their man pages say. */
export function loadLibc() {
  const libc = openLibrary(['libc.so.6'], 'run Bintrail on a Linux with glibc');
  return {
    mmap: libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)'),
    munmap: libc.func('int munmap(void *addr, size_t length)'),
    close: libc.func('int close(int fd)'),
    write: libc.func('int64_t write(int fd, uint8_t *buf, size_t count)'),
    read: libc.func('int64_t read(int fd, uint8_t *buf, size_t count)'),
    eventfd: libc.func('int eventfd(unsigned int initval, int flags)'),
    epollCreate: libc.func('int epoll_create1(int flags)'),
    epollCtl: libc.func('int epoll_ctl(int epfd, int op, int fd, uint8_t *event)'),
    epollWait: libc.func('int epoll_wait(int epfd, uint8_t *events, int maxevents, int timeout)'),
    fanotifyInit: libc.func('int fanotify_init(unsigned int flags, unsigned int event_f_flags)'),
    fanotifyMark: libc.func(
      'int fanotify_mark(int fd, unsigned int flags, uint64_t mask, int dirfd, const char *path)',
    ),
    preadv2: libc.func('int64_t preadv2(int fd, void *iov, int count, int64_t offset, int flags)'),
    ioctl: libc.func('int ioctl(int fd, unsigned long request, uint32_t *out)'),
    setrlimit: libc.func('int setrlimit(int resource, uint64_t *limit)'),
    getrlimit: libc.func('int getrlimit(int resource, uint64_t *limit)'),
    openat2: libc.func('long syscall(long number, int dirfd, uint8_t *path, uint64_t *how, size_t size)'),
    fsopen: libc.func('long syscall(long number, const char *type, unsigned int flags)'),
    fsconfig: libc.func(
      'long syscall(long number, int fd, unsigned int cmd, const char *key, const char *value, int aux)',
    ),
    fsmount: libc.func('long syscall(long number, int fd, unsigned int flags, unsigned int attributes)'),
    clockGettime: libc.func('int clock_gettime(int clock, int64_t *timespec)'),
    clockGetres: libc.func('int clock_getres(int clock, int64_t *timespec)'),
    // Variadic in its manual; on x64 and arm64 Linux integers are passed alike.
    prctl: libc.func('int prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d)'),
    mallopt: libc.func('int mallopt(int param, int value)'),
    mallocTrim: libc.func('int malloc_trim(size_t pad)'),
    vsnprintf: libc.func('int vsnprintf(uint8_t *buf, size_t size, void *format, void *args)'),
  };
}

export type Libc = ReturnType<typeof loadLibc>;

/** libbpf 1.x: pointers are NULL and ints negative on failure, with errno set (libbpf's LIBBPF_STRICT_ALL default). */
export function loadLibbpf() {
  const remedy = 'install libbpf 1.0 or newer (Debian, Ubuntu: apt-get install libbpf1)';
  const libbpf = openLibrary(['libbpf.so.1'], remedy);
  return {
    setPrint: libbpf.func('void *libbpf_set_print(void *callback)'),
    openFile: libbpf.func('void *bpf_object__open_file(const char *path, void *opts)'),
    findBtfId: libbpf.func('int libbpf_find_vmlinux_btf_id(const char *name, int attach_type)'),
    setAutoload: libbpf.func('int bpf_program__set_autoload(void *program, bool autoload)'),
    load: libbpf.func('int bpf_object__load(void *object)'),
    closeObject: libbpf.func('void bpf_object__close(void *object)'),
    nextProgram: libbpf.func('void *bpf_object__next_program(void *object, void *program)'),
    programName: libbpf.func('const char *bpf_program__name(void *program)'),
    findProgram: libbpf.func('void *bpf_object__find_program_by_name(void *object, const char *name)'),
    findMapFd: libbpf.func('int bpf_object__find_map_fd_by_name(void *object, const char *name)'),
    findMap: libbpf.func('void *bpf_object__find_map_by_name(void *object, const char *name)'),
    setMaxEntries: libbpf.func('int bpf_map__set_max_entries(void *map, uint32_t count)'),
    maxEntries: libbpf.func('uint32_t bpf_map__max_entries(void *map)'),
    initialValue: libbpf.func('void *bpf_map__initial_value(void *map, uint8_t *size)'),
    reuseMap: libbpf.func('int bpf_map__reuse_fd(void *map, int fd)'),
    programFd: libbpf.func('int bpf_program__fd(void *program)'),
    attach: libbpf.func('void *bpf_program__attach(void *program)'),
    attachIter: libbpf.func('void *bpf_program__attach_iter(void *program, void *opts)'),
    iterCreate: libbpf.func('int bpf_iter_create(int link_fd)'),
    linkFd: libbpf.func('int bpf_link__fd(void *link)'),
    destroyLink: libbpf.func('int bpf_link__destroy(void *link)'),
    lookup: libbpf.func('int bpf_map_lookup_elem(int fd, uint8_t *key, uint8_t *value)'),
    update: libbpf.func('int bpf_map_update_elem(int fd, uint8_t *key, uint8_t *value, uint64_t flags)'),
    remove: libbpf.func('int bpf_map_delete_elem(int fd, uint8_t *key)'),
    objPin: libbpf.func('int bpf_obj_pin(int fd, const char *path)'),
    objGet: libbpf.func('int bpf_obj_get(const char *path)'),
    objectInfo: libbpf.func('int bpf_obj_get_info_by_fd(int fd, uint8_t *info, uint8_t *size)'),
    testRun: libbpf.func('int bpf_prog_test_run_opts(int fd, void *opts)'),
    possibleCpus: libbpf.func('int libbpf_num_possible_cpus()'),
  };
}

export type Libbpf = ReturnType<typeof loadLibbpf>;

const printPrototype = koffi.proto('int BpfPrint(int level, void *format, void *args)');

/** Collects libbpf's own words (warnings only), so that a failed load can be explained. Returns how to stop. */
export function collectLibbpfWarnings(libbpf: Libbpf, libc: Libc, lines: string[]): () => void {
  const buffer = Buffer.alloc(16_384);
  const callback = koffi.register((level: number, format: Pointer, args: Pointer) => {
    if (level > 0) return 0;
    const length = Number(libc.vsnprintf(buffer, buffer.length, format, args));
    lines.push(buffer.toString('utf8', 0, Math.min(length, buffer.length - 1)).trimEnd());
    return 0;
  }, koffi.pointer(printPrototype));
  libbpf.setPrint(callback);
  return () => {
    libbpf.setPrint(0n);
    koffi.unregister(callback);
  };
}

/** errno of the last foreign call. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Native memory as an ArrayBuffer; valid until it is unmapped. */
export function viewMemory(pointer: Pointer, sizeBytes: number): ArrayBuffer {
  return koffi.view(pointer, sizeBytes);
}

/** An anonymous page for structs that hold pointers, in native memory so that its address never moves. */
export function nativePage(libc: Libc): { pointer: Pointer; view: DataView } {
  const pointer = libc.mmap(0n, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) as Pointer;
  if (isMapFailed(pointer)) throw new Error(`mmap of one page failed: errno ${lastErrno()}`);
  return { pointer, view: new DataView(viewMemory(pointer, 4096)) };
}

/** include/uapi/asm-generic/mman-common.h */
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_ANONYMOUS = 0x20;

export function isMapFailed(pointer: Pointer): boolean {
  return pointer === 0xffff_ffff_ffff_ffffn;
}
