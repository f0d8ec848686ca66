/**
 * Whose pod it is, by the labels that Kubernetes' own controllers put on the pods they make, which the runtime passes on.
 * Who may create pods in a namespace may write them too, and so pose as a workload of that namespace, but of no other.
 */
export type PodOwner = { readonly kind: string; readonly name: string };

export type PodFacts = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
};

/** `nodeName`: static pods carry it at the end of their names. */
export function ownerOf({ name, labels, annotations }: PodFacts, nodeName: string): PodOwner {
  const hash = labels['pod-template-hash'];
  const replica = /^(.+)-([^-]+)-[a-z0-9]{5}$/.exec(name);
  if (hash !== undefined && replica?.[2] === hash) return { kind: 'deployment', name: replica[1]! };
  const ordinal = /^(.+)-\d+$/.exec(name)?.[1];
  if (labels['statefulset.kubernetes.io/pod-name'] === name && ordinal !== undefined) {
    return { kind: 'statefulset', name: ordinal };
  }
  const job = labels['batch.kubernetes.io/job-name'] ?? labels['job-name'];
  if (job !== undefined && name.startsWith(`${job}-`)) return jobOwner(job);
  const base = /^(.+)-[a-z0-9]{5}$/.exec(name)?.[1];
  const isDaemon = labels['controller-revision-hash'] !== undefined && labels['pod-template-generation'] !== undefined;
  if (isDaemon && base !== undefined) return { kind: 'daemonset', name: base };
  const source = annotations['kubernetes.io/config.source'];
  const isStatic = (source === 'file' || source === 'http') && name.endsWith(`-${nodeName}`);
  return { kind: 'pod', name: isStatic ? name.slice(0, -nodeName.length - 1) : name };
}

/** A CronJob names its jobs by the minute they are due, counted from the epoch. */
function jobOwner(job: string): PodOwner {
  const scheduled = /^(.+)-\d{8}$/.exec(job)?.[1];
  return scheduled === undefined ? { kind: 'job', name: job } : { kind: 'cronjob', name: scheduled };
}
