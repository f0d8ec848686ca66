/** The Container Runtime Interface that containerd and CRI-O serve to the kubelet at a socket: gRPC, cri.proto. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createLru } from '@bintrail/runtime/lru.ts';
import type { ServiceClientConstructor } from '@grpc/grpc-js';
import type { KnownPod, Pods } from '../kubernetes/pods.ts';
import { type ContainerFacts, type ContainerSource, imageDigest, labelsText, podWorkload, textOf } from './facts.ts';
import { ownerOf } from './pod-owner.ts';

type Labels = Readonly<Record<string, string>>;

type Container = {
  readonly id: string;
  readonly pod_sandbox_id: string;
  readonly metadata: { readonly name: string } | null;
  readonly image: { readonly image: string } | null;
  readonly image_ref: string;
  readonly created_at: string;
  readonly labels: Labels;
};

type Pod = {
  readonly id: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string } | null;
  readonly created_at: string;
  readonly labels: Labels;
  readonly annotations: Labels;
};

type Ask = <Answer>(method: string, request: object, signal: AbortSignal) => Promise<Answer>;

/** What is asked of a socket; its client is made when it is first there, as many hosts have no Kubernetes. */
type Connection = { readonly ask: Ask; readonly close: () => void };

const PROTO = fileURLToPath(new URL('cri.proto', import.meta.url));
const DEADLINE_MS = 5_000;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const MAX_IMAGES = 1_024;
/** What a pod's own container is called, which holds its namespaces: no name a container in a pod can have. */
const SANDBOX = 'POD';
/** google.rpc.Code, https://grpc.io/docs/guides/status-codes/ */
const NOT_FOUND = 5;

/**
 * `nodeName`: what the cluster calls this node. `pods`: who is asked for owners and labels as well, where there is an API
 * server to ask.
 */
export function openCri(runtime: string, socketPath: string, nodeName: string, pods?: Pods): ContainerSource {
  const digests = createLru<string, string>(MAX_IMAGES);
  let connecting: Promise<Connection> | undefined;

  const ask: Ask = async (method, request, signal) => {
    if (!existsSync(socketPath)) throw new Error(`no socket at ${socketPath}`);
    connecting ??= connect(socketPath);
    return (await connecting).ask(method, request, signal);
  };
  const digestOf = async (imageRef: string, signal: AbortSignal): Promise<string> => {
    const known = digests.touch(imageRef);
    if (known !== undefined || imageRef === '') return known ?? '';
    type Answer = { image: { id: string; repo_digests: string[] } | null };
    const { image } = await ask<Answer>('ImageStatus', { image: { image: imageRef } }, signal);
    const found = imageDigest(image?.repo_digests[0] ?? '') || imageDigest(image?.id ?? imageRef);
    digests.set(imageRef, found);
    return found;
  };
  const podOf = async (id: string, signal: AbortSignal): Promise<Pod | undefined> => {
    try {
      const { status } = await ask<{ status: Pod | null }>('PodSandboxStatus', { pod_sandbox_id: id }, signal);
      return status?.id === id ? status : undefined;
    } catch (error) {
      if ((error as { code?: unknown }).code === NOT_FOUND) return undefined;
      throw error;
    }
  };
  const find = async (id: string, signal: AbortSignal): Promise<ContainerFacts | undefined> => {
    const answer = await ask<{ containers: Container[] }>('ListContainers', { filter: { id } }, signal);
    const container = answer.containers.find((one) => one.id === id);
    const pod = await podOf(container?.pod_sandbox_id ?? id, signal);
    if (pod === undefined) return undefined;
    const [image, known] = await Promise.all([
      container === undefined ? '' : digestOf(textOf(container.image_ref), signal),
      pod.metadata === null ? undefined : pods?.find(pod.metadata, signal),
    ]);
    const { metadata, labels, annotations } = pod;
    const owner = known?.owner ?? ownerOf({ name: textOf(metadata?.name), labels, annotations }, nodeName);
    const told = { owner, labels: known?.labels ?? labels };
    return { ...factsOf(pod, container, told), image, podTeller: known === undefined ? '' : pods!.name };
  };
  return {
    ...{ name: `${runtime}=${socketPath}`, runtimes: [runtime, 'oci'], find },
    close: () => void connecting?.then(({ close }) => close()),
  };
}

type OwnFacts = Omit<ContainerFacts, 'image' | 'podTeller'>;

function factsOf(pod: Pod, container: Container | undefined, { owner, labels }: KnownPod): OwnFacts {
  const [podName, namespace] = [textOf(pod.metadata?.name), textOf(pod.metadata?.namespace)];
  const name = container === undefined ? SANDBOX : textOf(container.metadata?.name);
  return {
    ...{ name, namespace, pod: podName },
    deployedAs: podName === '' ? '' : podWorkload(namespace, owner.kind, textOf(owner.name), name),
    imageRef: textOf(container?.image?.image),
    imageId: imageDigest(textOf(container?.image_ref)),
    labels: labelsText({ ...labels, ...container?.labels }),
    createdNs: BigInt(container?.created_at ?? pod.created_at),
  };
}

/** The packages are loaded here: 15 MB that a host without such a socket need not have. */
async function connect(socketPath: string): Promise<Connection> {
  const [grpc, { load }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')]);
  const definition = await load(PROTO, { keepCase: true, longs: String, defaults: true });
  // biome-ignore lint/suspicious/noExplicitAny: what a proto file becomes has no type before it is read
  const { v1 } = (grpc.loadPackageDefinition(definition) as any).runtime;
  const open = (Service: ServiceClientConstructor) =>
    new Service(`unix://${socketPath}`, grpc.credentials.createInsecure(), {
      'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
    });
  const clients = [open(v1.RuntimeService), open(v1.ImageService)];
  const ask: Ask = (method, request, signal) =>
    new Promise((resolve, reject) => {
      const client = clients.find((one) => typeof one[method] === 'function')!;
      const call = client[method]!(request, { deadline: Date.now() + DEADLINE_MS }, (error: unknown, answer: never) =>
        error ? reject(error) : resolve(answer),
      );
      signal.addEventListener('abort', () => call.cancel(), { once: true });
    });
  const close = () => {
    for (const client of clients) client.close();
  };
  return { ask, close };
}
