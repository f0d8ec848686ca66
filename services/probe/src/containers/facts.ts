/** What a container runtime says of one container, and what an operator calls that. Texts are latin1, as everywhere. */
import { safePart } from '../workload.ts';

export type ContainerFacts = {
  /** The workload by its names: `container/<runtime>/<name>` or `k8s/<namespace>/<kind>/<name>/<container>`. */
  readonly deployedAs: string;
  readonly name: string;
  /** What it was started from, as whoever started it wrote it. */
  readonly imageRef: string;
  /** `sha256:…` of the image's manifest, else of its configuration; empty when not told. */
  readonly image: string;
  readonly imageId: string;
  /** Kubernetes only. */
  readonly namespace: string;
  readonly pod: string;
  /** Who told of its pod beside the runtime: the API server; empty for nobody. */
  readonly podTeller: string;
  /** As JSON; empty when there are none, or more than is worth keeping. */
  readonly labels: string;
  /** When the runtime made it; 0 when it does not say. */
  readonly createdNs: bigint;
};

/**
 * Somebody to ask. `find` answers undefined for a container it does not know, and rejects when it cannot be asked or says
 * something else: then nobody asks it for a while.
 */
export type ContainerSource = {
  /** Runtime and socket, as settings name them. */
  readonly name: string;
  /** Of which runtimes, as the cgroup tells them (workload.ts). */
  readonly runtimes: readonly string[];
  readonly find: (id: string, signal: AbortSignal) => Promise<ContainerFacts | undefined>;
  readonly close: () => void;
};

/** Names are the choice of whoever may create containers: as parts of an id they stay within their part. */
export function containerWorkload(runtime: string, name: string): string {
  return `container/${safePart(runtime)}/${safePart(name)}`;
}

export function podWorkload(namespace: string, kind: string, owner: string, container: string): string {
  return `k8s/${[namespace, kind, owner, container].map(safePart).join('/')}`;
}

/** A text of an answer, as bytes; empty for anything else. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? Buffer.from(value, 'utf8').toString('latin1') : '';
}

const MAX_LABELS_BYTES = 8_192;

export function labelsText(labels: unknown): string {
  if (typeof labels !== 'object' || labels === null || Object.keys(labels).length === 0) return '';
  const text = textOf(JSON.stringify(labels));
  return text.length > MAX_LABELS_BYTES ? '' : text;
}

const DIGEST = /sha256:[0-9a-f]{64}$/;

/** The digest at the end of `repository@sha256:…`, or an image id with or without its `sha256:`; empty for neither. */
export function imageDigest(text: string): string {
  const found = DIGEST.exec(text)?.[0];
  return found ?? (/^[0-9a-f]{64}$/.test(text) ? `sha256:${text}` : '');
}
