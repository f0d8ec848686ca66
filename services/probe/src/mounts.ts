/** Which mounts get a fanotify mark: an allow-list of filesystems that answer from this machine. */

export const TMPFS_MAGIC = 0x01021994;
/** Superblock magics, include/uapi/linux/magic.h. ext4, xfs, btrfs, f2fs, tmpfs, squashfs, erofs. */
const LOCAL_MAGICS = new Set([0xef53, 0x58465342, 0x9123683e, 0xf2f52010, TMPFS_MAGIC, 0x73717368, 0xe0f5e1e2]);
/** NFS, CIFS, SMB2, 9p, FUSE, Ceph: a server that does not answer blocks whoever opens or reads there. */
const REMOTE_MAGICS = new Set([0x6969, 0xff534d42, 0xfe534d42, 0x01021997, 0x65735546, 0x00c36400]);
const LOCAL_TYPES = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'tmpfs', 'squashfs', 'erofs', 'overlay']);

export type Mount = { readonly device: string; readonly mountPoint: string; readonly type: string };

export function isLocalMagic(magic: number): boolean {
  return LOCAL_MAGICS.has(magic);
}

export function isRemoteMagic(magic: number): boolean {
  return REMOTE_MAGICS.has(magic);
}

/** Parses /proc/self/mountinfo (proc_pid_mountinfo(5)); octal escapes are undone. Lines it cannot read are skipped. */
export function parseMountInfo(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ');
    const fields = before?.split(' ') ?? [];
    const type = after?.split(' ')[0];
    const device = fields[2];
    const mountPoint = fields[4];
    if (device === undefined || mountPoint === undefined || type === undefined) continue;
    mounts.push({ device, mountPoint: unescapeOctal(mountPoint), type });
  }
  return mounts;
}

/**
 * The mounts to mark, one per superblock. Where marks on the real filesystem see through overlays (Linux 6.5), marking
 * both would double every event, so overlays are left out unless `overlayMarks`.
 */
export function mountsToMark(mounts: readonly Mount[], overlayMarks: boolean): Mount[] {
  const byDevice = new Map<string, Mount>();
  for (const mount of mounts) {
    if (!LOCAL_TYPES.has(mount.type) || (mount.type === 'overlay' && !overlayMarks)) continue;
    if (!byDevice.has(mount.device)) byDevice.set(mount.device, mount);
  }
  return [...byDevice.values()];
}

function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
