/** What this host is called, and what it lacks for the probes: named precisely, each with how to get it. */
import { closeSync, existsSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { SetupError } from '@bintrail/runtime/errors.ts';

/** boot_id of the running kernel (proc_sys_kernel(5)). */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/**
 * The host's mount namespace, as the kernel numbers it (namespaces(7)): that of its first process, as a unit may give us
 * another one; our own where we may not ask about that process.
 */
export function hostMountNamespace(): number {
  for (const pid of ['1', 'self']) {
    try {
      return Number(/^mnt:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/mnt`))?.[1]);
    } catch {
      // EACCES without the right to trace it.
    }
  }
  return 0;
}

/**
 * Bits of include/uapi/linux/capability.h, and what fails without each. Where CAP_SYS_ADMIN is there, the kernel asks for
 * neither CAP_BPF nor CAP_PERFMON; they are demanded all the same, for the day it no longer stands in for them.
 */
const CAPABILITIES = {
  CAP_DAC_READ_SEARCH: { bit: 2n, lost: 'programs that only their owner may read have no digest' },
  CAP_SYS_PTRACE: { bit: 19n, lost: 'what processes of other users run, and their roots, stay closed' },
  CAP_SYS_ADMIN: { bit: 21n, lost: 'the kernel hands over no files: fanotify cannot mark filesystems' },
  CAP_PERFMON: { bit: 38n, lost: 'BPF programs may not read kernel memory' },
  CAP_BPF: { bit: 39n, lost: 'no BPF program can be loaded' },
} as const;

export type Capability = keyof typeof CAPABILITIES;

/** The probe needs these and no others, whoever it runs as. */
export const PROBE_CAPABILITIES = Object.keys(CAPABILITIES) as Capability[];

/** The effective set of this text of /proc/self/status, a bit for each. */
export function effectiveCapabilities(status: string): bigint {
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
}

/** Names of the capabilities that this text of /proc/self/status lacks in its effective set. */
export function missingCapabilities(status: string): Capability[] {
  const effective = effectiveCapabilities(status);
  return PROBE_CAPABILITIES.filter((name) => !(effective & (1n << CAPABILITIES[name].bit)));
}

/** Everything this host lacks, as one SetupError; nothing when the probes can run. */
export function checkHost(bpfObjectPath: string): void {
  const missing: string[] = [];
  for (const name of missingCapabilities(readFileSync('/proc/self/status', 'utf8'))) {
    missing.push(`${name}, without which ${CAPABILITIES[name].lost}: run as root (sudo npm start), or grant it`);
  }
  if (!existsSync('/sys/kernel/btf/vmlinux')) {
    missing.push('/sys/kernel/btf/vmlinux: use a kernel 6.1 or newer built with CONFIG_DEBUG_INFO_BTF');
  }
  if (!isReadable(bpfObjectPath))
    missing.push(`${bpfObjectPath}: run npm start once with clang installed; it builds it`);
  if (missing.length > 0) {
    throw new SetupError(
      `the probes cannot run here; missing:\n  ${missing.join('\n  ')}`,
      'mend what each line names, then start again',
    );
  }
}

function isReadable(path: string): boolean {
  try {
    // Not by access(2): for that the capabilities of who is not root do not count.
    closeSync(openSync(path, 'r'));
    return true;
  } catch {
    return false;
  }
}

/** Names of local users by uid, from a passwd file (passwd(5)); read again at most once a minute. */
export function localUserNames(passwdPath = '/etc/passwd'): (uid: number) => string | undefined {
  let names = new Map<number, string>();
  let readAtMs = Number.NEGATIVE_INFINITY;
  return (uid) => {
    if (performance.now() - readAtMs > 60_000) {
      names = parsePasswd(readFileSync(passwdPath, 'latin1'));
      readAtMs = performance.now();
    }
    return names.get(uid);
  };
}

/** The first name of each uid wins, as getpwuid(3) does it. */
function parsePasswd(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , uid] = line.split(':');
    if (name && uid && !names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}
