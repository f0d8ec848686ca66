/** What the supervisor and its children tell each other over IPC. */
import type { StoreOptions } from '@bintrail/runtime/store.ts';

/** Whether events come from this host's probe or from the recorded sample. */
export type Mode = 'live' | 'replay';

/** Whether the bus is the Kafka of KAFKA_BROKERS. A replay never is: recorded events stay apart from those of a fleet. */
export const usesKafka = (mode: Mode, env: NodeJS.ProcessEnv): boolean => mode === 'live' && Boolean(env.KAFKA_BROKERS);

/** Everything the backend needs that is not in its environment; it holds the store's password. */
export type BackendStart = {
  readonly kind: 'start';
  readonly mode: Mode;
  readonly store: StoreOptions;
  readonly homeDir: string;
  /** The token's path as the operator knows it: what messages and examples show. */
  readonly tokenPath: string;
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
};

/** The probe's state, passed on for the api's health page: when it is ready, and as often as it says that it is alive. */
export type ProbeState = {
  readonly kind: 'probe';
  readonly hooks: 'lsm' | 'tracepoint';
  /** Why nobody counts what runs while the probe is down, and what to do; null where the census does. */
  readonly uncounted: string | null;
};

export type ToBackend = BackendStart | ProbeState;

export type FromBackend =
  | { readonly kind: 'ready'; readonly url: string; readonly hasToken: boolean; readonly tokenNote: string }
  | { readonly kind: 'finding'; readonly line: string }
  | { readonly kind: 'replayed'; readonly rows: number };

export type FromProbe =
  | (Omit<ProbeState, 'kind'> & { readonly kind: 'ready'; readonly marks: number })
  | { readonly kind: 'alive' };
