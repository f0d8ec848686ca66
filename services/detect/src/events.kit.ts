/** For tests: rows of events with what a case is about filled in, as bytes from the bus. */
import { applyPolicy, createPolicyView } from '@bintrail/analysis/policy-view.ts';
import { approvalOf } from '@bintrail/analysis/sighting.kit.ts';
import type { Approval } from '@bintrail/schemas/approval.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition, RowOf } from '@bintrail/schemas/field.ts';
import { FILE_ACTIONS } from '@bintrail/schemas/file-actions.ts';
import { type Finding, findingSchema } from '@bintrail/schemas/finding.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';
import { type DetectState, detect, remember } from './stage.ts';

export const BOOT = '11111111-2222-3333-4444-555555555555';
export const NODE = 'node-a';
/** 2026-03-01T12:00:00Z. */
export const T0_MS = 1_772_366_400_000;
export const T0_NS = BigInt(T0_MS) * 1_000_000n;

export const sha256Of = (digit: string) => Buffer.from(digit.repeat(64), 'hex').toString('latin1');

function zeroRow(definition: EventDefinition): Record<string, string | number | bigint> {
  const zeros = { text: '', bytes: '', digest: '', u64: 0n, time: 0n, u8: 0, u16: 0, u32: 0, i32: 0 } as const;
  return Object.fromEntries(definition.fields.map(({ name, kind }) => [name, zeros[kind]]));
}

type ExecRow = RowOf<typeof EVENTS.exec>;
type LoadRow = RowOf<typeof EVENTS.load>;
type DigestRow = RowOf<typeof EVENTS.digest>;
type FileRow = RowOf<typeof EVENTS.file>;
type ContainerRow = RowOf<typeof EVENTS.container>;

const CONTENT = { sha256: sha256Of('a'), digest_source: 'held', digest_strength: 'exact' };
const PLACE = { workload: 'systemd/nginx.service' };
export const PENDING = { sha256: '', digest_source: '', digest_strength: '', digest_reason: 'pending' };

/** An exec of process `pid`, started by process `parent`. */
export function execRow(pid: number, parent: number, part: Partial<ExecRow> = {}): ExecRow {
  const identity = { pid, start_ns: BigInt(pid) * 1000n, self_exec_id: 1 };
  const parents = { ppid: parent, parent_pid: parent, parent_start_ns: BigInt(parent) * 1000n, parent_self_exec_id: 1 };
  const program = { ts: T0_NS, path: '/opt/a', argv: '/opt/a\0-v\0', argc: 2, cwd: '/srv', uid: 1000 };
  return { ...zeroRow(EVENTS.exec), ...identity, ...parents, ...program, ...PLACE, ...CONTENT, ...part } as ExecRow;
}

export function loadRow(pid: number, part: Partial<LoadRow> = {}): LoadRow {
  const identity = { pid, start_ns: BigInt(pid) * 1000n, self_exec_id: 1 };
  const script = { ts: T0_NS, role: 'script', path: '/opt/a.sh', parent_path: '/usr/bin/dash', uid: 1000 };
  return { ...zeroRow(EVENTS.load), ...identity, ...script, ...PLACE, ...CONTENT, ...part } as LoadRow;
}

export function digestRow(pid: number, part: Partial<DigestRow> = {}): DigestRow {
  const identity = { pid, start_ns: BigInt(pid) * 1000n, self_exec_id: 1 };
  const late = { ts: T0_NS + 900_000_000n, event_ts: T0_NS, role: 'exec', path: '/opt/a', uid: 1000 };
  return { ...zeroRow(EVENTS.digest), ...identity, ...late, ...PLACE, ...CONTENT, ...part } as DigestRow;
}

/** A program in use that process `pid` writes to. */
export function fileRow(pid: number, selfExecId: number, part: Partial<FileRow> = {}): FileRow {
  const identity = { pid, start_ns: BigInt(pid) * 1000n, self_exec_id: selfExecId };
  const change = { ts: T0_NS, uid: 1000, action: FILE_ACTIONS.indexOf('written'), path: '/usr/lib/a.so' };
  const flags = flagBit('in_use');
  return {
    ...zeroRow(EVENTS.file),
    ...identity,
    ...change,
    ...PLACE,
    flags,
    writer_path: '/bin/cp',
    ...part,
  } as FileRow;
}

export const execId = (pid: number) => `${BOOT}:${pid}:${pid * 1000}:1`;

const HEADER = { node: NODE, boot: BOOT, probeEpoch: 1n, batchSeq: 0 };

export const execMessage = (...rows: ExecRow[]) => encodeBatch(EVENTS.exec, HEADER, rows);
export const loadMessage = (...rows: LoadRow[]) => encodeBatch(EVENTS.load, HEADER, rows);
export const digestMessage = (...rows: DigestRow[]) => encodeBatch(EVENTS.digest, HEADER, rows);

/** A container by its id; where nothing else is said one of a pod. */
export function containerRow(container_id: string, part: Partial<ContainerRow> = {}): ContainerRow {
  const names = { container_name: 'app', image_ref: 'registry.example/cart:1.4', namespace: 'shop', pod: 'cart-x2x9z' };
  return { ...zeroRow(EVENTS.container), ts: T0_NS, container_id, ...names, ...part } as ContainerRow;
}

export const containerMessage = (...rows: ContainerRow[]) => encodeBatch(EVENTS.container, HEADER, rows);
export const fileMessage = (...rows: FileRow[]) => encodeBatch(EVENTS.file, HEADER, rows);

export function decoded(...messages: Uint8Array[]): Batch[] {
  return messages.map((message) => {
    const result = decodeBatch(message);
    if (!result.ok) throw new Error(result.detail);
    return result.batch;
  });
}

export function approval(part: Partial<Approval>, revision = 1, deleted = false): PolicyRecord {
  return { kind: 'approval', revision, deleted, approval: approvalOf({ revision, ...part }) };
}

export function action(
  finding_id: string,
  name: 'resolve' | 'acknowledge',
  episode: number,
  atMs: number,
): PolicyRecord {
  return { kind: 'action', revision: atMs, finding_id, action: name, episode, at: new Date(atMs).toISOString() };
}

export const view = (...records: PolicyRecord[]) => applyPolicy(createPolicyView(), records);

/** Runs one plan as the process does: detect, publish, remember. */
export function run(state: DetectState, messages: Uint8Array[], policy = view()): Finding[] {
  const detected = detect(decoded(...messages), policy, state);
  remember(state, detected);
  return detected.out.map(({ finding }) => findingSchema.parse(JSON.parse(JSON.stringify(finding))));
}
