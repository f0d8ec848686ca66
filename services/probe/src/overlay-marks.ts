/**
 * Whether a mark on a filesystem sees what is executed through an overlay above it. Linux does since about 6.5, before it
 * only the overlay's own mark does; distributions move such changes about, so it is tried once, on an overlay of our own.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createQueueReader, MAX_EVENTS, openFanotify } from './fanotify.ts';
import { type Libc, lastErrno } from './ffi.ts';

/** `own`: overlays are marked themselves. Where both see an exec it is handed over twice, which costs and harms nothing. */
export type OverlayMarks = { readonly own: boolean; readonly words: string };

// include/uapi/linux/mount.h, include/uapi/asm-generic/unistd.h: the same on every architecture.
const [FSOPEN, FSCONFIG, FSMOUNT] = [430, 431, 432];
const [FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE] = [1, 6];
const CLOEXEC = 1;
const PROGRAM = 'program';

/** Undefined while this kernel has no overlays: asking would load them. */
export function testOverlayMarks(libc: Libc): OverlayMarks | undefined {
  if (!/\toverlay$/m.test(readFileSync('/proc/filesystems', 'utf8'))) return undefined;
  const folder = makeFolder();
  if (folder === undefined) return untried(`no folder can be made in ${tmpdir()}`);
  try {
    const layers = ['one', 'two'].map((name) => join(folder, name));
    for (const layer of layers) mkdirSync(layer);
    // Opened for execution, and then refused for want of its interpreter: nothing runs.
    writeFileSync(join(layers[0]!, PROGRAM), '#!/nonexistent/bintrail\n', { mode: 0o755 });
    const mount = mountOverlay(libc, layers);
    if (typeof mount !== 'number') return untried(mount.refused);
    try {
      return isSeenBelow(libc, mount, layers[0]!)
        ? { own: false, words: 'seen by the marks on the filesystems below them (tried)' }
        : { own: true, words: 'marked themselves: marks below do not see them (tried)' };
    } finally {
      closeSync(mount);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function untried(why: string): OverlayMarks {
  return { own: true, words: `marked themselves; what sees them could not be tried: ${why}` };
}

/** Undefined where everything is read-only or full. */
function makeFolder(): string | undefined {
  try {
    return mkdtempSync(join(tmpdir(), 'bintrail-overlay-'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).errno === undefined) throw error;
    return undefined;
  }
}

/** An overlay that is mounted nowhere: nobody else meets it, and it goes with its descriptor. */
function mountOverlay(libc: Libc, layers: readonly string[]): number | { readonly refused: string } {
  const context = Number(libc.fsopen(FSOPEN, 'overlay', CLOEXEC));
  if (context < 0) return { refused: `fsopen: errno ${lastErrno()}` };
  try {
    const options = [
      [FSCONFIG_SET_STRING, 'lowerdir', layers.join(':')],
      [FSCONFIG_CMD_CREATE, null, null],
    ] as const;
    for (const [command, key, value] of options) {
      if (Number(libc.fsconfig(FSCONFIG, context, command, key, value, 0)) < 0)
        return { refused: `fsconfig: errno ${lastErrno()}` };
    }
    const mount = Number(libc.fsmount(FSMOUNT, context, CLOEXEC, 0));
    return mount < 0 ? { refused: `fsmount: errno ${lastErrno()}` } : mount;
  } finally {
    closeSync(context);
  }
}

function isSeenBelow(libc: Libc, mount: number, layer: string): boolean {
  const group = openFanotify(libc);
  try {
    group.mark(layer);
    spawnSync(`/proc/${process.pid}/fd/${mount}/${PROGRAM}`);
    const real = statSync(join(layer, PROGRAM), { bigint: true });
    const read = createQueueReader(libc, group.fd);
    for (let delivery = read(MAX_EVENTS), seen = false; ; delivery = read(MAX_EVENTS)) {
      for (const { fd } of delivery.files) {
        const { dev, ino } = fstatSync(fd, { bigint: true });
        seen ||= dev === real.dev && ino === real.ino;
        closeSync(fd);
      }
      if (seen || delivery.isEmpty) return seen;
    }
  } finally {
    group.close();
  }
}
