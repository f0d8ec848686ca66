import { createLru } from '@bintrail/runtime/lru.ts';

/** What later events want to know of a program image. */
export type Image = { readonly path: string; readonly workload: string; readonly container_id: string };

export type ImageId = { readonly pid: number; readonly start_ns: bigint; readonly self_exec_id: number };

export type ImageTable = {
  readonly remember: (id: ImageId, image: Image) => void;
  readonly find: (id: ImageId) => Image | undefined;
};

/** Program images seen on this boot, running or not; a child may start long after its parent has gone. */
const MAX_IMAGES = 65_536;

export function createImageTable(): ImageTable {
  const images = createLru<string, Image>(MAX_IMAGES);
  const key = ({ pid, start_ns, self_exec_id }: ImageId) => `${pid}:${start_ns}:${self_exec_id}`;
  return {
    remember: (id, image) => images.set(key(id), image),
    find: (id) => images.touch(key(id)),
  };
}
