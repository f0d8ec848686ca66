/** What a reading of a file proves about an exec: pure, so that every rule can be tried on its own. */
import type { DigestReason, DigestSource, DigestStrength } from '@bintrail/schemas/digest-words.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { Measured } from './exec-steps.ts';
import { type FileState, identityKey, sameContentFields } from './file-identity.ts';
import { isLocalMagic, TMPFS_MAGIC } from './mounts.ts';

/** Bytes of a file between two looks at its inode. `sha256` is a latin1 byte string, the others lower-case hex. */
export type Reading = {
  readonly source: DigestSource;
  readonly before: FileState;
  /** Missing when the descriptor was not read to its end. */
  readonly after: FileState | undefined;
  readonly startedNs: bigint;
  /** The process that had the file opened, or whose link was followed: of the filesystem that this one saw. */
  readonly openedBy: number;
  readonly sha256: string;
  readonly md5: string | undefined;
  readonly sha1: string | undefined;
  /** Why there is no digest; '' with one. */
  readonly failure: DigestReason | '';
};

/** A digest with how sure we are, or the reason there is none. */
export type Evidence = {
  readonly sha256: string;
  readonly digest_source: DigestSource | '';
  readonly digest_strength: DigestStrength | '';
  readonly digest_reason: DigestReason | '';
};

export function noDigest(reason: DigestReason): Evidence {
  return { sha256: '', digest_source: '', digest_strength: '', digest_reason: reason };
}

const FINE_CTIME = flagBit('fine_ctime');
const MEMFD = flagBit('memfd');
const OVERLAY = flagBit('overlay');

/**
 * True when any change after `atNs` is sure to give the file another ctime: its last change is at least two ticks old
 * (the tick under way may have begun late), or the next one gets a multigrain timestamp. Never on tmpfs, memfd included:
 * it lets whoever has read a page through a shared mapping write there without noticing (shmem has no page_mkwrite).
 */
export function isSettled(file: FileState, atNs: bigint, tickNs: bigint): boolean {
  if (file.fs_magic === TMPFS_MAGIC) return false;
  return (file.flags & FINE_CTIME) !== 0 || atNs >= file.ctime_ns + 2n * tickNs;
}

/** True when a reading may answer for later execs of the same identity, by itself. */
export function isCacheable(reading: Reading, tickNs: bigint): boolean {
  const { before, after } = reading;
  return (
    reading.failure === '' &&
    after !== undefined &&
    identityKey(before) === identityKey(after) &&
    before.writecount <= 0 &&
    after.writecount <= 0 &&
    isSettled(before, reading.startedNs, tickNs) &&
    !isReplaceable(before)
  );
}

/**
 * Device numbers of anonymous (major 0) and loop (major 7) devices are reused at once. Without a generation nothing else
 * tells one such filesystem's inode from the next one's; of a loop device not even that, as its image is a file that can
 * be changed, inodes and all, before it is mounted again.
 */
export function isReplaceable({ dev, generation }: FileState): boolean {
  const major = dev >>> 20;
  return major === 7 || (major === 0 && generation === 0);
}

/** For so long a descriptor is held (HOLD_MS): a reading that began later or earlier was not of this exec. */
const ONE_EXEC_NS = 2_000_000_000n;

/** False when the reading may be of another filesystem under the same device number. */
function isOneFilesystem({ pid, tsNs }: Executed, { before, startedNs, openedBy }: Reading): boolean {
  if (!isReplaceable(before)) return true;
  const apartNs = tsNs - startedNs;
  return openedBy === pid && apartNs < ONE_EXEC_NS && apartNs > -ONE_EXEC_NS;
}

/** `pid` is the process that ran or mapped the file. */
export type Executed = { readonly file: FileState; readonly tsNs: bigint; readonly pid: number };

/**
 * The evidence a reading gives for one exec. Between the two nothing may have changed unseen: the earlier of them must
 * have been settled, and the exec too. `stillRuns` is asked last and at most once: whether this very program
 * image still ran the file after the reading, which kept everyone from writing to it since the exec, if this kernel does
 * that (Linux 6.11 did not). Of a reading that began before the exec that says nothing.
 */
export function evidenceFrom(exec: Executed, reading: Reading, tickNs: bigint, stillRuns: () => boolean): Evidence {
  const { before, after } = reading;
  if (reading.failure !== '') return noDigest(reading.failure);
  if (after === undefined || !sameContentFields(before, after)) return noDigest('changed');
  if (!sameContentFields(exec.file, before)) return noDigest('changed');
  if (!isOneFilesystem(exec, reading)) return noDigest('vanished');
  const source = reading.startedNs < exec.tsNs ? 'cache' : reading.source;
  const digest = { sha256: reading.sha256, digest_source: source, digest_reason: '' } as const;
  if (Math.max(exec.file.writecount, before.writecount, after.writecount) > 0) {
    return { ...digest, digest_strength: 'writable' };
  }
  const unchanged = identityKey(exec.file) === identityKey(before) && identityKey(before) === identityKey(after);
  const readAfter = reading.startedNs >= exec.tsNs;
  const wouldShow =
    isSettled(exec.file, exec.tsNs, tickNs) && (readAfter || isSettled(before, reading.startedNs, tickNs));
  if (unchanged && wouldShow) return { ...digest, digest_strength: 'exact' };
  if (readAfter && exec.file.writecount < 0 && stillRuns()) return { ...digest, digest_strength: 'alive' };
  return { ...digest, digest_strength: unchanged ? 'racy' : 'metadata' };
}

/**
 * The evidence of IMA's own digest, taken while the exec denied everyone writing. Exact where IMA cannot have kept a
 * digest over a change: it measures anew after any writer of a file on a local filesystem, but is told of none below an
 * overlay, behind a server's back, or of a memfd, which is written without being counted.
 */
export function evidenceFromIma(executed: FileState, { state, sha256 }: Measured): Evidence | undefined {
  if (identityKey(executed) !== identityKey(state)) return undefined;
  const isTold = isLocalMagic(state.fs_magic) && !(state.flags & (MEMFD | OVERLAY)) && state.writecount < 0;
  return { sha256, digest_source: 'ima', digest_strength: isTold ? 'exact' : 'racy', digest_reason: '' };
}
