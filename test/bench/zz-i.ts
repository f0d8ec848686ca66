import { Session } from 'node:inspector/promises';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createIngest } from '@bintrail/ingest/ingest.ts';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { finishedRows } from './host-observer.ts';
import { hostPrograms, seededRandom } from './sample-rows.ts';
import { tempFolder } from './temp-folder.ts';
const small = process.argv[2] === 'small';
const R = small ? 40000 : 100000;
const rows = await finishedRows(hostPrograms(200), R);
const bus = openSqliteBus({ path: join(tempFolder('i'), 'bus.db'), compactedTopics: [] });
const { store, close } = await openTestStore();
let inserts: any[] = []; let queries: any[] = [];
const timed = { ...store, insertNative: async (t: string, b: any, k: string) => { const s = performance.now(); await store.insertNative(t, b, k); inserts.push([t, b.length, performance.now() - s]); }, query: async (q: string, p: any) => { const s = performance.now(); const r = await store.query(q, p); queries.push(performance.now() - s); return r; } };
let epoch = 1n;
const publish = async () => {
  const random = seededRandom(7); const ms: any[] = []; epoch++;
  for (let at = 0; at < rows.length;) { const size = small ? 1 + Math.floor(random() * 8) : 1024; const node = small ? `node-${ms.length % 2000}` : 'n'; ms.push({ key: node, value: encodeBatch(exec, { node, boot: 'b', probeEpoch: epoch, batchSeq: small ? Math.floor(ms.length / 2000) : ms.length }, rows.slice(at, at + size)) }); at += size; }
  await bus.publish('bintrail.events', ms); return ms.length;
};
const s = new Session(); s.connect(); await s.post('Profiler.enable'); await s.post('Profiler.setSamplingInterval', { interval: 300 });
for (let k = 0; k < 5; k++) {
  const n = await publish(); inserts = []; queries = [];
  if (k === 2) await s.post('Profiler.start');
  const b = performance.now(); const c0 = process.cpuUsage();
  const ing = createIngest({ bus, store: timed as any, metrics: createMetrics(), log: createLog({ level: 'warn', name: 'b' }) });
  while ((await bus.lag('bintrail.events', 'ingest')).records > 0) await delay(5);
  const ms = performance.now() - b; const c = process.cpuUsage(c0); await ing.close();
  const ins = inserts.reduce((a, x) => a + x[2], 0);
  console.log(`${n} messages, ${R} rows: ${ms.toFixed(0)} ms; cpu ${((c.user + c.system) / 1000).toFixed(0)}; inserts ${ins.toFixed(0)} ms in ${inserts.length}: ${inserts.map((x) => `${x[0]} ${(x[1] / 1e6).toFixed(1)}MB ${x[2].toFixed(0)}`).join(', ')}; queries ${queries.map((x) => x.toFixed(0))}`);
}
const { profile } = await s.post('Profiler.stop') as any; writeFileSync('/tmp/benchprof/ingest.cpuprofile', JSON.stringify(profile));
await bus.close(); await close(); process.exit(0);
