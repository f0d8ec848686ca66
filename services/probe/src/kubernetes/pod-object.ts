/** What is read of a pod, and of whatever owns it: ObjectMeta of Kubernetes' API (v1), checked, and nothing else. */
import { textOf } from '../containers/facts.ts';

export type Labels = Readonly<Record<string, string>>;

/** The owner that controls it; there is at most one. */
export type OwnerReference = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
};

export type PodObject = {
  readonly uid: string;
  /** Of a static pod what its node calls it: the uid above is that of its picture in the API then. */
  readonly mirrorOf: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly controller: OwnerReference | undefined;
};

type Meta = Readonly<Record<string, unknown>>;

/** Undefined for what is no pod. */
export function readPod(object: unknown): PodObject | undefined {
  const meta = metaOf(object);
  const [uid, namespace, name] = [textOf(meta.uid), textOf(meta.namespace), textOf(meta.name)];
  if (uid === '' || namespace === '' || name === '') return undefined;
  const [labels, annotations] = [textsOf(meta.labels), textsOf(meta.annotations)];
  const mirrorOf = annotations['kubernetes.io/config.mirror'] ?? '';
  return { uid, mirrorOf, namespace, name, labels, annotations, controller: controllerOf(meta) };
}

/** Uid and controller of any object. */
export function ownersOf(object: unknown): { readonly uid: string; readonly controller: OwnerReference | undefined } {
  const meta = metaOf(object);
  return { uid: textOf(meta.uid), controller: controllerOf(meta) };
}

function metaOf(object: unknown): Meta {
  const meta = (object as { metadata?: unknown } | null)?.metadata;
  return typeof meta === 'object' && meta !== null ? (meta as Meta) : {};
}

function controllerOf({ ownerReferences }: Meta): OwnerReference | undefined {
  if (!Array.isArray(ownerReferences)) return undefined;
  const found = (ownerReferences as Meta[]).find((one) => one?.controller === true);
  if (found === undefined) return undefined;
  const [apiVersion, kind] = [textOf(found.apiVersion), textOf(found.kind)];
  const [name, uid] = [textOf(found.name), textOf(found.uid)];
  return kind === '' || name === '' ? undefined : { apiVersion, kind, name, uid };
}

function textsOf(map: unknown): Labels {
  if (typeof map !== 'object' || map === null) return {};
  return Object.fromEntries(Object.entries(map).filter((entry) => typeof entry[1] === 'string'));
}
