/**
 * What each container is called: asked of its runtime when it is first seen, so that the answer is normally there before
 * the digest of what it runs. Whoever waits does so for a bounded time; then the container keeps its id as its name, and
 * what arrives later is told beside it. A container's workload never changes while this process lives.
 */
import { createLru } from '@bintrail/runtime/lru.ts';
import type { ContainerFacts, ContainerSource } from './facts.ts';

/** A container as its cgroup tells of it. `workload` names it by its id. */
export type SeenContainer = { readonly containerId: string; readonly runtime: string; readonly workload: string };

/** Settled once, and never again. */
export type ContainerName = {
  workload: string;
  image: string;
  isSettled: boolean;
  /** Calls back when it is settled: at once, or within the time that rows may wait. */
  readonly whenSettled: (callback: () => void) => void;
};

/** What was learnt of a container, and from when it holds; `validUntilNs` is 0 while it runs. */
export type ContainerTold = {
  readonly container: SeenContainer;
  readonly workload: string;
  readonly facts: ContainerFacts;
  readonly source: string;
  readonly validFromNs: bigint;
  readonly validUntilNs: bigint;
};

export type ContainerNames = {
  readonly find: (container: SeenContainer) => ContainerName;
  /** Asks again about the containers of a pod that is another one now by what the API server says. */
  readonly onPod: (pod: { readonly namespace: string; readonly name: string }) => void;
  /** Tells of containers in which nothing runs any more, by a look at all processes that began at `atNs`. */
  readonly onLook: (running: ReadonlySet<string>, atNs: bigint) => void;
  readonly status: () => SourceStatus[];
  /** Settles all that is open, and asks no more. */
  readonly close: () => void;
};

export type SourceStatus = {
  readonly source: string;
  readonly state: 'untried' | 'answers' | 'fails';
  readonly reason: string;
};

export type NamesOptions = {
  readonly sources: readonly ContainerSource[];
  readonly nowNs: () => bigint;
  readonly tell: (told: ContainerTold) => void;
};

/** As long as rows wait for their digest. */
const WAIT_MS = 400;
/** Containers that were there before the probe are all met at once. */
const FIRST_WAIT_MS = 5_000;
/** One answer. Podman's waits for a lock that its `run` holds. */
const ANSWER_MS = 5_000;
/** When to ask once more about one that its runtime does not know yet, or when nobody could be asked. */
const RETRY_MS = [100, 1_000, 10_000, 60_000];
/** A source that fails is left alone for so long, then for twice as long, up to the last. */
const [FIRST_PAUSE_MS, LAST_PAUSE_MS] = [1_000, 60_000];
const MAX_ASKING = 8;
const MAX_CONTAINERS = 8_192;

type Entry = ContainerName & {
  readonly container: SeenContainer;
  readonly seenNs: bigint;
  waiting: (() => void)[];
  told: ContainerTold | undefined;
};

type Asked = {
  readonly source: ContainerSource;
  state: SourceStatus['state'];
  reason: string;
  pauseMs: number;
  quietUntilMs: number;
};

export function createContainerNames({ sources, nowNs, tell }: NamesOptions): ContainerNames {
  const entries = createLru<string, Entry>(MAX_CONTAINERS);
  const asked = sources.map(
    (source): Asked => ({ source, state: 'untried', reason: '', pauseMs: FIRST_PAUSE_MS, quietUntilMs: 0 }),
  );
  const open = new Set<Entry>();
  /** Told of, and running at the last look. */
  const running = new Map<string, Entry>();
  const queue: { readonly entry: Entry; readonly attempt: number }[] = [];
  const ending = new AbortController();
  const patientUntilMs = performance.now() + FIRST_WAIT_MS;
  let asking = 0;

  const settle = (entry: Entry) => {
    if (entry.isSettled) return;
    entry.isSettled = true;
    open.delete(entry);
    for (const callback of entry.waiting.splice(0)) callback();
  };
  const willing = ({ container }: Entry) =>
    asked.filter(
      ({ source, quietUntilMs }) => source.runtimes.includes(container.runtime) && quietUntilMs <= performance.now(),
    );
  const tellOf = (entry: Entry, told: ContainerTold) => {
    entry.told = told;
    if (told.validUntilNs === 0n) running.set(told.container.containerId, entry);
    else running.delete(told.container.containerId);
    tell(told);
  };
  const lookUp = async (entry: Entry): Promise<'told' | 'unknown' | 'failed'> => {
    const { container } = entry;
    let outcome: 'unknown' | 'failed' = 'failed';
    for (const one of willing(entry)) {
      const facts = await askOne(one, container.containerId, ending.signal);
      if (facts === 'unknown') outcome = 'unknown';
      if (typeof facts !== 'object') continue;
      if (!entry.isSettled) Object.assign(entry, { workload: facts.deployedAs || entry.workload, image: facts.image });
      const { workload, told } = entry;
      const isLess = told?.facts.podTeller !== '' && facts.podTeller === '';
      if (told !== undefined && (isLess || isSame(told.facts, facts))) return 'told';
      // Who is first told by the API server was deployed like that all along; what it says later was changed since.
      const validFromNs = told === undefined || told.facts.podTeller === '' ? facts.createdNs : nowNs();
      tellOf(entry, { container, workload, facts, source: one.source.name, validFromNs, validUntilNs: 0n });
      // After it was told: rows that waited for it go then.
      settle(entry);
      return 'told';
    }
    return outcome;
  };
  const work = async (entry: Entry, attempt: number) => {
    const outcome = await lookUp(entry);
    if (outcome === 'told' || ending.signal.aborted) return;
    if (outcome === 'failed' || attempt > 0) settle(entry);
    const delayMs = RETRY_MS[attempt];
    if (delayMs !== undefined) setTimeout(() => ask(entry, attempt + 1), delayMs).unref();
  };
  const ask = (entry: Entry, attempt: number) => {
    queue.push({ entry, attempt });
    next();
  };
  const next = () => {
    while (asking < MAX_ASKING && queue.length > 0 && !ending.signal.aborted) {
      const { entry, attempt } = queue.shift()!;
      asking += 1;
      work(entry, attempt).finally(() => {
        asking -= 1;
        next();
      });
    }
  };
  const find = (container: SeenContainer): ContainerName => {
    const known = entries.touch(container.containerId);
    if (known !== undefined) return known;
    const entry: Entry = {
      ...{ container, workload: container.workload, image: '', isSettled: false },
      ...{ seenNs: nowNs(), waiting: [], told: undefined },
      whenSettled: (callback) => {
        if (entry.isSettled) callback();
        else entry.waiting.push(callback);
      },
    };
    entries.set(container.containerId, entry);
    open.add(entry);
    if (willing(entry).length === 0) settle(entry);
    else setTimeout(settle, Math.max(WAIT_MS, patientUntilMs - performance.now()), entry).unref();
    if (asked.some(({ source }) => source.runtimes.includes(container.runtime))) ask(entry, 0);
    return entry;
  };
  const onPod: ContainerNames['onPod'] = ({ namespace, name }) => {
    for (const entry of running.values()) {
      const { facts } = entry.told!;
      if (facts.namespace === namespace && facts.pod === name) ask(entry, 0);
    }
  };
  const onLook = (found: ReadonlySet<string>, atNs: bigint) => {
    for (const [id, entry] of running) {
      if (!found.has(id) && entry.seenNs < atNs) tellOf(entry, { ...entry.told!, validUntilNs: atNs });
    }
    for (const id of found) {
      const entry = entries.get(id);
      if (entry?.told !== undefined && !running.has(id)) tellOf(entry, { ...entry.told, validUntilNs: 0n });
    }
  };
  return {
    ...{ find, onPod, onLook },
    status: () => asked.map(({ source, state, reason }) => ({ source: source.name, state, reason })),
    close: () => {
      ending.abort();
      for (const entry of open) settle(entry);
      for (const { close } of sources) close();
    },
  };
}

/** Facts are texts and one number, in one order. */
function isSame(a: ContainerFacts, b: ContainerFacts): boolean {
  return (Object.keys(a) as (keyof ContainerFacts)[]).every((key) => a[key] === b[key]);
}

async function askOne(one: Asked, id: string, ending: AbortSignal): Promise<ContainerFacts | 'unknown' | 'failed'> {
  try {
    const found = await one.source.find(id, AbortSignal.any([ending, AbortSignal.timeout(ANSWER_MS)]));
    Object.assign(one, { state: 'answers', reason: '', pauseMs: FIRST_PAUSE_MS });
    return found ?? 'unknown';
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const quietUntilMs = performance.now() + one.pauseMs;
    Object.assign(one, { state: 'fails', reason, quietUntilMs, pauseMs: Math.min(LAST_PAUSE_MS, one.pauseMs * 2) });
    return 'failed';
  }
}
