/** Every bench, in the order in which they run and are shown. Loaded one at a time: each has a process of its own. */
import type { Bench } from './bench.ts';

type Loader = () => Promise<{ readonly bench: Bench }>;

export const BENCHES: Readonly<Record<string, Loader>> = {
  exec: () => import('./exec.bench.ts'),
  icount: () => import('./icount.bench.ts'),
  changes: () => import('./changes.bench.ts'),
  flood: () => import('./flood.bench.ts'),
  ring: () => import('./ring.bench.ts'),
  wire: () => import('./wire.bench.ts'),
  ingest: () => import('./ingest.bench.ts'),
  kafka: () => import('./kafka.bench.ts'),
  fleet: () => import('./fleet.bench.ts'),
  latency: () => import('./latency.bench.ts'),
  digest: () => import('./digest.bench.ts'),
  storage: () => import('./storage.bench.ts'),
  projections: () => import('./projections.bench.ts'),
  queries: () => import('./queries.bench.ts'),
  idle: () => import('./idle.bench.ts'),
};
