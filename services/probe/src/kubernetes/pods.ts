/** The pods of this node as the API server knows them: labels as they are now, and what they were deployed as. */
import { EventEmitter, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { ownerOf, type PodOwner } from '../containers/pod-owner.ts';
import type { KubernetesAccess } from './access.ts';
import { createApiClient } from './api-client.ts';
import { createControllers } from './controllers.ts';
import { type Labels, type PodObject, readPod } from './pod-object.ts';
import { type WatchState, watchList } from './watch-list.ts';

/** A pod as its node's runtime calls it. */
export type AskedPod = { readonly uid: string; readonly namespace: string; readonly name: string };

export type KnownPod = { readonly owner: PodOwner; readonly labels: Labels };

export type Pods = {
  /** Who is asked, for health and `told_by`. */
  readonly name: string;
  /** Waits a moment for a pod that the API server has not told of yet; then undefined. */
  readonly find: (pod: AskedPod, signal: AbortSignal) => Promise<KnownPod | undefined>;
  /** Calls back with a pod whose owner or labels may be other ones now. */
  readonly onChange: (callback: (pod: Pick<AskedPod, 'namespace' | 'name'>) => void) => void;
  readonly status: () => PodsStatus;
  readonly close: () => void;
};

export type PodsStatus = {
  readonly source: string;
  readonly state: WatchState['state'];
  readonly reason: string;
  /** Pods of this node that are known. */
  readonly pods: number;
  /** How often a pod was asked for and not known here, so that its runtime's word was taken. */
  readonly unknown: number;
  /** Why an owner could not be asked for, the last time that was so. */
  readonly ownerReason: string;
};

/** Of the 400 ms that rows wait: kubelets know of a pod some 100 ms before its first process, and so do we. */
const WAIT_MS = 200;
/** For the first list: containers that were there before the probe are waited for longer. */
const FIRST_MS = 3_000;
/** A controller is one request away. */
const OWNER_MS = 5_000;

type Entry = { readonly pod: PodObject; readonly known: Promise<KnownPod>; isSure: boolean };

export type PodsOptions = {
  /** Called when the server begins to answer, and when it stops. */
  readonly onState?: (state: WatchState) => void;
  /** Between tries that fail, at first; for tests. */
  readonly firstPauseMs?: number;
};

export function openPods(access: KubernetesAccess, { onState = () => {}, firstPauseMs }: PodsOptions = {}): Pods {
  const ending = new AbortController();
  const api = createApiClient(access);
  const entries = new Map<string, Entry>();
  const changes = new EventEmitter().setMaxListeners(0);
  let state: WatchState = { state: 'untried', reason: '' };
  const first = Promise.withResolvers<void>();
  let [unknown, ownerReason] = [0, ''];
  const onRefused = (reason: string) => {
    ownerReason = reason;
  };
  const controllers = createControllers(api, onRefused);

  const describe = async (pod: PodObject): Promise<{ readonly known: KnownPod; readonly isSure: boolean }> => {
    const limit = AbortSignal.any([ending.signal, AbortSignal.timeout(OWNER_MS)]);
    const byName = { known: { owner: ownerOf(pod, access.node), labels: pod.labels }, isSure: true };
    // The picture of a static pod belongs to its node.
    if (pod.controller === undefined || pod.controller.kind === 'Node') return byName;
    try {
      const owner = await controllers.topOf(pod.namespace, pod.controller, limit);
      return owner === undefined
        ? { ...byName, isSure: false }
        : { known: { owner, labels: pod.labels }, isSure: true };
    } catch (error) {
      onRefused(error instanceof Error ? error.message : String(error));
      return { ...byName, isSure: false };
    }
  };
  const keep = (object: unknown): string | undefined => {
    const pod = readPod(object);
    if (pod === undefined) return undefined;
    const key = keyOf(pod);
    const before = entries.get(key);
    // Their state changes all the time, and is not asked for.
    if (before?.isSure && JSON.stringify(before.pod) === JSON.stringify(pod)) return key;
    const described = describe(pod);
    const entry: Entry = { pod, known: described.then(({ known }) => known), isSure: true };
    entries.set(key, entry);
    changes.emit(key);
    described.then(({ isSure }) => {
      entry.isSure = isSure;
      if (isSure) changes.emit('change', pod);
    });
    return key;
  };
  const onList = (items: readonly unknown[]) => {
    const there = new Set(items.map(keep));
    for (const key of entries.keys()) if (!there.has(key)) entries.delete(key);
    first.resolve();
  };
  const onChange = (type: string, object: unknown) => {
    const pod = type === 'DELETED' ? readPod(object) : undefined;
    if (type !== 'DELETED') keep(object);
    else if (pod !== undefined && entries.get(keyOf(pod))?.pod.uid === pod.uid) entries.delete(keyOf(pod));
  };
  const find: Pods['find'] = async (asked, signal) => {
    const isIt = (entry: Entry | undefined): entry is Entry =>
      entry !== undefined && (entry.pod.uid === asked.uid || entry.pod.mirrorOf === asked.uid);
    const key = keyOf(asked);
    if (state.state === 'untried')
      await Promise.race([first.promise, delay(FIRST_MS, undefined, { ref: false, signal })]).catch(() => {});
    if (!isIt(entries.get(key)) && state.state !== 'fails') {
      await once(changes, key, { signal: AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)]) }).catch(() => {});
    }
    const entry = entries.get(key);
    if (isIt(entry)) return entry.known;
    unknown += 1;
    return undefined;
  };
  void watchList({
    ...{ api, path: '/api/v1/pods', fieldSelector: `spec.nodeName=${access.node}`, onList, onChange },
    onState: (now) => {
      if (now.state !== state.state) onState(now);
      state = now;
      first.resolve();
    },
    signal: ending.signal,
    ...(firstPauseMs === undefined ? {} : { firstPauseMs }),
  });
  const name = `kubernetes=${access.server.host}`;
  return {
    ...{ name, find },
    onChange: (callback) => changes.on('change', callback),
    status: () => ({ source: name, ...state, pods: entries.size, unknown, ownerReason }),
    close: () => ending.abort(),
  };
}

/** Names are unique in the API at any time, so that no pod can pose as another by what it says of itself. */
function keyOf({ namespace, name }: Pick<AskedPod, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}
