/**
 * Who gets the processor first. Whoever floods a machine must not hide behind the flood: a record that finds its ring full
 * is lost, and a file that is let go unread has no digest. What the probe takes can be bounded (CPUQuota=, a limit of its
 * container); what it then loses is counted.
 */
import { writeFileSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** As a nice value: nine times the weight of everybody else's. */
const NICE = -10;

/**
 * Puts a process that was just started, in a session of its own, before others. Where sessions are scheduled as one each
 * (sched(7), autogroup) that counts for its session too. Without CAP_SYS_NICE it stays as everybody else.
 */
export function putFirst(pid: number): void {
  attempt(() => setPriority(pid, NICE));
  attempt(() => writeFileSync(`/proc/${pid}/autogroup`, String(NICE)));
}

/**
 * Takes the calling thread's place back to that of everybody else: setpriority(2) is for threads, whatever POSIX says. The
 * threads it started before keep theirs.
 */
export function stepBack(): void {
  if (getPriority() < 0) setPriority(0);
}

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // EACCES, EPERM, or no such file.
  }
}
