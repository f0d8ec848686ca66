/**
 * Tells a container runtime's own starts from the container's. To set a container up, or to run one more command in it, a
 * runtime starts itself again inside the container's cgroup (runc: `runc init`, from a descriptor or a memfd) before it
 * enters the container's mounts. Nothing goes by its name: such a start is outside every container's mounts, has a parent
 * that runs on the host, outside the cgroup, and is the very program of that parent, which was judged there.
 */
import { closeSync } from 'node:fs';
import { createLru } from '@bintrail/runtime/lru.ts';
import { type DigestStrength, STRONG } from '@bintrail/schemas/digest-words.ts';
import type { DigestPipeline } from './digest-pipeline.ts';
import type { Row } from './events-out.ts';
import { type FileState, identityKey } from './file-identity.ts';
import type { Image, ImageId } from './image-table.ts';
import type { Evidence } from './reading.ts';

export type SetupOptions = {
  /** The host's mount namespace, as `mnt_ns` names it. */
  readonly hostMounts: number;
  readonly openNamed: (path: string) => number | undefined;
  readonly describe: (fd: number) => FileState | undefined;
  readonly known: DigestPipeline['known'];
};

/** Known by the file's identity; else by its content (a memfd, a copy), once there is a digest; or not at all. */
export type SetupAnswer = boolean | ((evidence: Evidence) => boolean);

export type RuntimeSetup = {
  /** Whether an exec in this container and mount namespace can be a runtime's own. */
  readonly mayBe: (containerId: string, mountNs: number) => boolean;
  readonly isSetup: (row: Row<'exec'>, containerId: string, parent: Image | undefined) => SetupAnswer;
  /** Remembers a program image that is one, for what it loads. */
  readonly note: (image: ImageId) => void;
  readonly isNoted: (image: ImageId) => boolean;
};

/** A runtime's own start lasts for some 20 ms. */
const MAX_NOTED = 256;

export function createRuntimeSetup({ hostMounts, openNamed, describe, known }: SetupOptions): RuntimeSetup {
  const mayBe = (containerId: string, mountNs: number) => containerId !== '' && mountNs === hostMounts;
  const fileAt = (path: string): FileState | undefined => {
    const fd = openNamed(path);
    if (fd === undefined) return undefined;
    const state = describe(fd);
    closeSync(fd);
    return state;
  };
  const isSetup: RuntimeSetup['isSetup'] = (row, containerId, parent) => {
    if (!mayBe(containerId, row.mnt_ns) || parent === undefined || parent.place.containerId !== '') return false;
    const runtime = fileAt(parent.program.path);
    if (runtime === undefined) return false;
    if (identityKey(runtime) === identityKey(row)) return true;
    return ({ sha256, digest_strength }) => {
      if (!STRONG.includes(digest_strength as DigestStrength)) return false;
      const reading = known(runtime, row.pid);
      const isOfIt = reading !== undefined && identityKey(reading.before) === identityKey(runtime);
      return isOfIt && reading.failure === '' && reading.sha256 === sha256;
    };
  };
  const noted = createLru<string, true>(MAX_NOTED);
  const keyOf = ({ pid, start_ns, self_exec_id }: ImageId) => `${pid}:${start_ns}:${self_exec_id}`;
  return {
    ...{ mayBe, isSetup },
    note: (image) => noted.set(keyOf(image), true),
    isNoted: (image) => noted.get(keyOf(image)) !== undefined,
  };
}
