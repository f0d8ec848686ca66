/** The questions of an analyst, asked of the api, and what they cost the engine. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { openApi } from '@bintrail/api/open-api.ts';
import { createSecret } from '@bintrail/api/secret.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { COMPACTED_TOPICS } from '@bintrail/schemas/topics.ts';
import { seededRandom } from '@bintrail/test/seeded-random.ts';
import { nodeName, PROGRAMS, WORKLOADS, workloadName } from './generated-events.ts';
import { tempFolder } from './temp-folder.ts';

const MAX_ASK_MS = 5_000;

/** Asks the api for a path. */
export type Ask = (path: string) => Promise<void>;
type Question = { readonly what: string; readonly path: (random: () => number) => string; readonly whyMissed?: string };
/** Of one question: milliseconds of each time, and what the engine did for one on average. */
export type Asked = { readonly tookMs: readonly number[]; readonly rowsRead: number; readonly cpuMs: number };

const program = (random: () => number) => Math.floor(random() * PROGRAMS);
const workload = (random: () => number) => workloadName(Math.floor(random() * WORKLOADS));
const sha256 = (number: number) => createHash('sha256').update(`program${number}`).digest('hex');

export const QUESTIONS: readonly Question[] = [
  {
    what: 'profile of a workload, 24 h',
    path: (random) => `/v1/workloads/${encodeURIComponent(workload(random))}/profile?since=now-24h`,
  },
  {
    what: 'profile of a workload, 30 days',
    path: (random) => `/v1/workloads/${encodeURIComponent(workload(random))}/profile?since=now-30d`,
  },
  { what: 'one binary', path: (random) => `/v1/binaries/${sha256(program(random))}` },
  { what: 'list of unapproved binaries', path: () => '/v1/binaries?verdict=unapproved&limit=50' },
  {
    what: 'binaries of a node, 24 h',
    path: (random) => `/v1/binaries?node=${nodeName(Math.floor(random() * WORKLOADS * 20))}&since=now-24h`,
  },
  { what: 'list of workloads', path: () => '/v1/workloads?since=now-24h' },
  {
    what: 'newest events of a workload',
    path: (random) => `/v1/events?workload=${encodeURIComponent(workload(random))}&limit=100`,
  },
  {
    what: 'events of a digest, 30 days',
    path: (random) => `/v1/events?sha256=${sha256(program(random))}&since=now-30d`,
  },
];

/** Each question several times about different things, for as long as there is time. */
export async function askAll(store: Store, ask: Ask, times: number): Promise<Asked[]> {
  const random = seededRandom(3);
  const all: Asked[] = [];
  for (const { path } of QUESTIONS) {
    await ask(path(random));
    const tookMs: number[] = [];
    const untilMs = performance.now() + MAX_ASK_MS;
    const before = await readWork(store);
    while (tookMs.length < times && (tookMs.length < 3 || performance.now() < untilMs)) {
      const beganMs = performance.now();
      await ask(path(random));
      tookMs.push(performance.now() - beganMs);
    }
    const after = await readWork(store);
    const each = (what: keyof Work) => (after[what] - before[what]) / tookMs.length;
    all.push({ tookMs, rowsRead: each('rows'), cpuMs: each('cpuMs') });
  }
  return all;
}

type Work = { readonly rows: number; readonly cpuMs: number };

/** What the engine did since it started: nobody else asks it, but merges count as well. */
export async function readWork(store: Store): Promise<Work> {
  const rows = await store.query<{ event: string; value: string }>(
    "SELECT event, value FROM system.events WHERE event IN ('SelectedRows', 'OSCPUVirtualTimeMicroseconds')",
  );
  const counts = new Map(rows.map(({ event, value }) => [event, Number(value)]));
  return {
    rows: counts.get('SelectedRows') ?? 0,
    cpuMs: (counts.get('OSCPUVirtualTimeMicroseconds') ?? 0) / 1_000,
  };
}

export async function openAsking(store: Store): Promise<{ ask: Ask; closeApi: () => Promise<void> }> {
  const homeDir = tempFolder('queries');
  const bus = openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  const { token, sha256: adminTokenHash } = createSecret();
  const api = await openApi({
    ...{ store, bus, homeDir, adminTokenHash, metrics: createMetrics(), closing: new AbortController().signal },
    log: createLog({ level: 'warn', name: 'bench' }),
    status: () => ({ mode: 'live', hooks: null, versions: {}, parts: {} }),
    requestsPerSecond: 1e6,
  });
  const ask: Ask = async (path) => {
    const response = await api.app.request(path, { headers: { authorization: `Bearer ${token}` } });
    const text = await response.text();
    if (response.status !== 200 && response.status !== 404)
      throw new Error(`${path} answered ${response.status}: ${text}`);
  };
  const closeApi = async () => {
    await api.close();
    await bus.close();
  };
  return { ask, closeApi };
}
