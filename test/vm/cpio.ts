/**
 * Writes an initramfs: newc entries, each an ASCII header of thirteen 8-digit hexadecimal numbers, its name and its data,
 * both padded to four bytes (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
export type Entry = { readonly name: string; readonly data?: Uint8Array; readonly mode: number };

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

export const folder = (name: string): Entry => ({ name, mode: S_IFDIR | 0o755 });
export const file = (name: string, data: Uint8Array): Entry => ({ name, data, mode: S_IFREG | 0o755 });

/** Folders come before what lies in them. */
export function cpio(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries, { name: 'TRAILER!!!', mode: 0 }].map(encode));
}

function encode({ name, data = Buffer.alloc(0), mode }: Entry, index: number): Buffer {
  const inode = index + 1;
  const nameBytes = Buffer.from(`${name}\0`);
  // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
  const numbers = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, nameBytes.length, 0];
  const header = `070701${numbers.map((number) => number.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), nameBytes])), padded(data)]);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}
