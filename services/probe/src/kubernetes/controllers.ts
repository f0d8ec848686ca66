/**
 * Whose pod it is, by what the API server says of its controllers: the garbage collector removes a pod that names an owner
 * that is not there under that uid. What Deployments and CronJobs own in between has random names and is asked for.
 */
import { createLru } from '@bintrail/runtime/lru.ts';
import type { PodOwner } from '../containers/pod-owner.ts';
import type { ApiClient } from './api-client.ts';
import { type OwnerReference, ownersOf } from './pod-object.ts';

/** What makes pods for something above it, and where it is found. */
const BETWEEN: Readonly<Record<string, string>> = {
  'apps/v1 ReplicaSet': '/apis/apps/v1/namespaces/{ns}/replicasets/',
  'batch/v1 Job': '/apis/batch/v1/namespaces/{ns}/jobs/',
};
/** Some hundred pods to a node, often several of one. */
const MAX_KNOWN = 1_024;

export type Controllers = {
  /** Undefined where that could not be asked, or the answer contradicts the pod. */
  readonly topOf: (namespace: string, owner: OwnerReference, signal: AbortSignal) => Promise<PodOwner | undefined>;
};

export function createControllers(api: ApiClient, onRefused: (reason: string) => void): Controllers {
  const known = createLru<string, PodOwner>(MAX_KNOWN);
  const topOf: Controllers['topOf'] = async (namespace, owner, signal) => {
    const folder = BETWEEN[`${owner.apiVersion} ${owner.kind}`];
    if (folder === undefined) return { kind: owner.kind.toLowerCase(), name: owner.name };
    const cached = known.touch(owner.uid);
    if (cached !== undefined) return cached;
    const path = folder.replace('{ns}', encodeURIComponent(namespace)) + encodeURIComponent(owner.name);
    const answer = await api.get(path, signal);
    if (!('body' in answer)) {
      onRefused(`${path}: HTTP ${answer.status}${answer.message === '' ? '' : `: ${answer.message}`}`);
      return undefined;
    }
    const found = ownersOf(answer.body);
    if (found.uid !== owner.uid) return undefined;
    const above = found.controller ?? owner;
    const top = { kind: above.kind.toLowerCase(), name: above.name };
    known.set(owner.uid, top);
    return top;
  };
  return { topOf };
}
