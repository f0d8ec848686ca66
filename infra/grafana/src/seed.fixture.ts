/** A small fleet in the store, brought there as ingest, detect and the API bring it: every panel has something to show. */
import { insertActionRows } from '@bintrail/api/findings/action-rows.ts';
import { digestRow, execRow, loadRow, PENDING, run } from '@bintrail/detect/events.kit.ts';
import { createDetectState } from '@bintrail/detect/stage.ts';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { storeFindings } from '@bintrail/ingest/findings-stage.ts';
import { planOf } from '@bintrail/ingest/store.fixture.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition, RowOf } from '@bintrail/schemas/field.ts';

const bytes = (digit: string) => Buffer.from(digit.repeat(64), 'hex').toString('latin1');
const NO_DIGEST = { sha256: '', digest_source: '', digest_strength: '', digest_reason: 'vanished' };
const MINUTE = 60;

/** A name with what SQL, URLs and Grafana's formats might stumble over. */
export const WORKLOAD = "systemd/disk@dm\\x2dcrypt's %41.service";
export const BINARY = 'a'.repeat(64);

export async function seed(store: Store, nowMs: number): Promise<void> {
  const ago = (seconds: number) => BigInt(nowMs - seconds * 1000) * 1_000_000n;
  const storeEvents = createStoreEvents(store);
  const atMs = nowMs - 1000;
  const detect = createDetectState();
  let offset = 0;
  const nextSeq: Record<string, number> = { 'node-a': 0, 'node-b': 0 };
  let probeEpoch = BigInt(nowMs);
  const send = async <D extends EventDefinition>(definition: D, node: string, rows: readonly RowOf<D>[]) => {
    const batchSeq = nextSeq[node]!;
    nextSeq[node] = batchSeq + 1;
    const header = { node, boot: '11111111-2222-3333-4444-555555555555', probeEpoch, batchSeq };
    const message = encodeBatch(definition, header, rows);
    await storeEvents(planOf([message], { from: offset, atMs }));
    const findings = run(detect, [message]).map((finding) => Buffer.from(JSON.stringify(finding)));
    await storeFindings(store, planOf(findings, { topic: 'bintrail.findings', from: offset * 100, atMs }));
    offset += 1;
    return findings.map((finding) => JSON.parse(finding.toString()) as { finding_id: string });
  };
  const program = (pid: number, seconds: number, part: Parameters<typeof execRow>[2] = {}) =>
    execRow(pid, 1, { ts: ago(seconds), workload: WORKLOAD, parent_path: '/usr/bin/dash', ...part });
  const dpkg = { package: 'dpkg:coreutils:amd64', package_version: '9.7-3' };

  await send(EVENTS.exec, 'node-a', [
    program(10, 40 * 60 * MINUTE, { path: '/opt/old', sha256: bytes('9') }),
    program(11, 60 * MINUTE, { path: '/opt/old', sha256: bytes('9') }),
    program(12, 60 * MINUTE, { path: '/usr/bin/true', sha256: bytes('b'), package_match: 'match', ...dpkg }),
    program(13, 60 * MINUTE, { path: '/usr/bin/ls', sha256: bytes('c'), package_match: 'mismatch', ...dpkg }),
  ]);
  const open = await send(EVENTS.exec, 'node-a', [program(14, 61 * MINUTE, { sha256: bytes('a') })]);
  const settled = [
    ...(await send(EVENTS.exec, 'node-a', [program(15, 62 * MINUTE, { path: '/opt/done', sha256: bytes('d') })])),
    ...(await send(EVENTS.load, 'node-a', [
      loadRow(16, { ts: ago(59 * MINUTE), workload: WORKLOAD, path: '/opt/run.sh', sha256: bytes('e') }),
    ])),
  ];
  if (open.length !== 1 || settled.length !== 2) throw new Error('detect no longer finds these');
  await send(EVENTS.exec, 'node-a', [program(22, 5 * 60 * MINUTE, { ...NO_DIGEST, path: '/opt/gone' })]);
  const late = { path: '/opt/late', workload: WORKLOAD };
  await send(EVENTS.exec, 'node-a', [program(17, 58 * MINUTE, { ...late, ...PENDING })]);
  await send(EVENTS.digest, 'node-a', [
    digestRow(17, { ...late, ts: ago(57 * MINUTE), event_ts: ago(58 * MINUTE), sha256: bytes('f') }),
  ]);
  await send(EVENTS.exec, 'node-b', [
    program(18, 10 * MINUTE, { sha256: bytes('a'), workload: 'session/mallory', digest_strength: 'racy' }),
    ...[19, 20, 21].map((pid) => program(pid, 10 * MINUTE, { ...NO_DIGEST, workload: 'session/mallory' })),
  ]);

  const counter = { cpu: 1, event_type: 'exec', place: 'ring' };
  const counted = (seconds: number, seen: bigint, lost: bigint) =>
    blankRow(EVENTS.loss, { ...counter, ts: ago(seconds), seen, sent: seen - lost, lost });
  await send(EVENTS.loss, 'node-a', [counted(30 * 60 * MINUTE, 500n, 50n), counted(60 * MINUTE, 1500n, 50n)]);
  await send(EVENTS.loss, 'node-a', [counted(5 * MINUTE, 2500n, 150n)]);
  await send(EVENTS.loss, 'node-b', [counted(5 * MINUTE, 1000n, 0n)]);

  nextSeq['node-a']! += 3;
  const alive = { probe_version: '0.1.0', hooks: 'tracepoint', kernel: '6.1.0', mode: 'live', outbox_depth: 2n };
  await send(EVENTS.heartbeat, 'node-a', [blankRow(EVENTS.heartbeat, { ...alive, ts: ago(5), waiting_digests: 3 })]);
  await send(EVENTS.heartbeat, 'node-b', [
    blankRow(EVENTS.heartbeat, { ...alive, ts: ago(8 * MINUTE), mode: 'replay', outbox_depth: 500n }),
  ]);

  // 8 execs of the first run are stored and 150 it lost itself: 7 ran before the next.
  const census = (seconds: number, taken_over: bigint) =>
    blankRow(EVENTS.census, { ts: ago(seconds), cpus: 1, census_id: 9n, taken_over, execs: taken_over });
  await send(EVENTS.census, 'node-a', [census(60 * MINUTE, 100n)]);
  probeEpoch += 1n;
  nextSeq['node-a'] = 0;
  await send(EVENTS.census, 'node-a', [census(4, 100n + 8n + 150n + 7n)]);

  const [resolve, acknowledge] = settled.map(({ finding_id }) => finding_id) as [string, string];
  const action = { reason: 'rebuilt', actor: 'ada', atMs: nowMs - 30 * MINUTE * 1000 };
  await insertActionRows(store, [
    { ...action, revision: 1, finding_id: resolve, action: 'resolve' },
    { ...action, revision: 2, finding_id: acknowledge, action: 'acknowledge' },
  ]);
}
