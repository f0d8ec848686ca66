import { readdirSync, readFileSync } from 'node:fs';

export type User = { readonly uid: number; readonly gid: number };

/** The ids of a local account, or undefined when the machine has none of that name. */
export function lookupUser(name: string, passwdPath = '/etc/passwd'): User | undefined {
  for (const line of readFileSync(passwdPath, 'utf8').split('\n')) {
    const [account, , uid, gid] = line.split(':');
    if (account === name && uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

/**
 * Gives up root for good, in every thread, and proves it. Throws when the process was not root to begin with or when
 * any thread still holds an id, a group or a capability it should not: the caller must then end the process.
 */
export function dropPrivileges(user: User): void {
  if (user.uid === 0 || user.gid === 0) throw new Error('dropPrivileges: the target is root');
  process.setgroups!([]);
  process.setgid!(user.gid);
  process.setuid!(user.uid);
  const left = remainingPrivileges(user);
  if (left.length > 0) throw new Error(`dropPrivileges: still held: ${left.join('; ')}`);
}

/**
 * Runs `work` with the effective ids of another user, so that files it opens or creates are judged and owned as that
 * user's; a caller who is not root just runs it. Synchronous only: the ids are the whole process's meanwhile.
 * The kernel clears PR_SET_PDEATHSIG on the way: set that afterwards.
 */
export function asUser<T>(user: User, work: () => T): T {
  if (process.geteuid?.() !== 0 || user.uid === 0) return work();
  const groups = process.getgroups!();
  const gid = process.getegid!();
  try {
    process.setgroups!([user.gid]);
    process.setegid!(user.gid);
    process.seteuid!(user.uid);
    return work();
  } finally {
    process.seteuid!(0);
    process.setegid!(gid);
    process.setgroups!(groups);
  }
}

function remainingPrivileges(user: User): string[] {
  const left: string[] = [];
  // Every thread has credentials of its own; V8 and libuv started theirs before the drop.
  for (const thread of readdirSync('/proc/self/task')) {
    for (const fault of privilegesIn(readFileSync(`/proc/self/task/${thread}/status`, 'utf8'), user)) {
      left.push(`thread ${thread}: ${fault}`);
    }
  }
  if (canBecomeRoot()) left.push('the process can become root again');
  return left;
}

/** What a `/proc/<pid>/status` text shows beyond an unprivileged `user`; a missing line counts as held. */
export function privilegesIn(status: string, user: User): string[] {
  const left: string[] = [];
  const field = (name: string) => status.match(new RegExp(`^${name}:[ \\t]*(.*)$`, 'm'))?.[1]?.trim();
  const expect = (name: string, wanted: string) => {
    const found = field(name)?.replaceAll(/\s+/g, ' ');
    if (found !== wanted) left.push(`${name} ${found ?? 'unknown'}`);
  };
  expect('Uid', Array(4).fill(user.uid).join(' '));
  expect('Gid', Array(4).fill(user.gid).join(' '));
  expect('Groups', '');
  for (const set of ['CapPrm', 'CapEff', 'CapAmb']) expect(set, '0'.repeat(16));
  return left;
}

function canBecomeRoot(): boolean {
  for (const regain of [() => process.setuid!(0), () => process.seteuid!(0), () => process.setgid!(0)]) {
    try {
      regain();
      return true;
    } catch {
      // EPERM is what we want.
    }
  }
  return false;
}
