/** For tests: what an API server keeps, and what changed since which version (etcd's history, which is compacted). */

type Meta = {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
};
export type ApiObject = {
  readonly [name: string]: unknown;
  readonly metadata: Meta & { readonly [name: string]: unknown };
};
/** With a name at least; of the namespace `shop` where nothing else is said. */
export type NewObject = {
  readonly [name: string]: unknown;
  readonly metadata: Partial<Meta> & { readonly name: string; readonly [name: string]: unknown };
};
export type Change = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: unknown;
};

const FOLDERS: Readonly<Record<string, string>> = {
  pods: '/api/v1',
  replicasets: '/apis/apps/v1',
  jobs: '/apis/batch/v1',
};

export type ApiObjects = ReturnType<typeof createApiObjects>;

/** `tell` is called with each change of a pod. */
export function createApiObjects(tell: (change: Change & { readonly object: ApiObject }) => void) {
  const objects = new Map<string, ApiObject>();
  const history: { readonly version: number; readonly change: Change & { readonly object: ApiObject } }[] = [];
  let [version, oldest] = [100, 0];
  const pathOf = (resource: string, namespace: string, name: string) =>
    `${FOLDERS[resource]}/namespaces/${namespace}/${resource}/${name}`;
  const record = (resource: string, type: Change['type'], object: ApiObject) => {
    if (resource !== 'pods') return;
    const change = { type, object };
    history.push({ version, change });
    tell(change);
  };
  return {
    put(resource: string, { metadata, ...rest }: NewObject): void {
      version += 1;
      const { name, namespace = 'shop' } = metadata;
      const path = pathOf(resource, namespace, name);
      const type = objects.has(path) ? 'MODIFIED' : 'ADDED';
      const object = {
        ...rest,
        metadata: { uid: `uid-${name}`, ...metadata, namespace, resourceVersion: String(version) },
      };
      objects.set(path, object);
      record(resource, type, object);
    },
    remove(resource: string, name: string, namespace = 'shop'): void {
      version += 1;
      const path = pathOf(resource, namespace, name);
      const object = objects.get(path)!;
      objects.delete(path);
      record(resource, 'DELETED', { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } });
    },
    /** Versions up to now cannot be gone on from any more. */
    compact(): void {
      version += 1;
      oldest = version;
    },
    isGone: (from: number) => from < oldest,
    bookmark(): Change {
      version += 1;
      return { type: 'BOOKMARK', object: { kind: 'Pod', metadata: { resourceVersion: String(version) } } };
    },
    at: (path: string) => objects.get(path),
    list: (node: string) => ({
      kind: 'PodList',
      metadata: { resourceVersion: String(version) },
      items: [...objects.values()].filter((object) => nodeOf(object) === node),
    }),
    since: (from: number) => history.filter((one) => one.version > from).map(({ change }) => change),
  };
}

/** What `spec.nodeName` selects. */
export function nodeOf({ spec }: ApiObject): unknown {
  return (spec as { nodeName?: unknown } | undefined)?.nodeName;
}
