/** What this host is called, and what it lacks for the probes: named precisely, each with how to get it. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { SetupError } from '@bintrail/runtime/errors.ts';

/** boot_id of the running kernel (proc_sys_kernel(5)). */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Bits of include/uapi/linux/capability.h. */
const CAPABILITIES = {
  CAP_DAC_READ_SEARCH: 2n,
  CAP_SYS_PTRACE: 19n,
  CAP_SYS_ADMIN: 21n,
  CAP_PERFMON: 38n,
  CAP_BPF: 39n,
} as const;

/** Names of the capabilities that this text of /proc/self/status lacks in its effective set. */
export function missingCapabilities(status: string): string[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return Object.entries(CAPABILITIES)
    .filter(([, bit]) => !(effective & (1n << bit)))
    .map(([name]) => name);
}

/** Everything this host lacks, as one SetupError; nothing when the probes can run. */
export function checkHost(bpfObjectPath: string): void {
  const missing: string[] = [];
  const capabilities = missingCapabilities(readFileSync('/proc/self/status', 'utf8'));
  if (capabilities.length > 0) missing.push(`${capabilities.join(', ')}: run as root (sudo npm start)`);
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
    accessSync(path, constants.R_OK);
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
