/** Rows as the probe of a simulated node makes them. */
import { digest } from '@bintrail/schemas/digest.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import type { EventDefinition, RowOf } from '@bintrail/schemas/field.ts';
import { heartbeat } from '@bintrail/schemas/heartbeat.ts';
import { loss } from '@bintrail/schemas/loss.ts';
import type { Program, Workload } from './estate.ts';

export type ExecRow = RowOf<typeof exec>;

const ZEROS = { text: '', bytes: '', digest: '', u64: 0n, time: 0n, u8: 0, u16: 0, u32: 0, i32: 0 } as const;
const EXT4_MAGIC = 0xef53;
const FIRST_PID = 1_000;
const PIDS = 4_000_000;
const LATE_NS = 900_000_000n;
/** Of probe streams, as services/probe numbers them. */
const STREAM = { digest: 1, loss: 2, heartbeat: 3 };

/** A field that nobody fills is zero or empty, also one that is new. */
function row<D extends EventDefinition>(definition: D, filled: Partial<RowOf<D>>): RowOf<D> {
  const zeros = Object.fromEntries(definition.fields.map(({ name, kind }) => [name, ZEROS[kind]]));
  return { ...zeros, ...filled } as RowOf<D>;
}

type Exec = {
  /** Of the node, from 0: names the process and its place on the node's one CPU. */
  readonly serial: number;
  readonly workload: Workload;
  readonly program: Program;
  readonly tsNs: bigint;
  readonly late: boolean;
};

export function execRow({ serial, workload, program, tsNs, late }: Exec): ExecRow {
  const { path } = program;
  const argv = `${path}\0--job=${serial % 50}\0`;
  const evidence = late
    ? { digest_reason: 'pending' }
    : { sha256: program.sha256, digest_source: 'cache', digest_strength: 'exact', ...packageOf(program) };
  return row(exec, {
    ...{ ts: tsNs, cpu: 0, cpu_seq: BigInt(serial), pid: FIRST_PID + (serial % PIDS), self_exec_id: 1 },
    ...{
      start_ns: BigInt(serial + 1) * 1_000_000n,
      parent_start_ns: 1_000_000n,
      parent_pid: 1,
      parent_self_exec_id: 1,
    },
    ...{ ppid: 1, uid: 1000, gid: 1000, euid: 1000, egid: 1000, loginuid: 0xffff_ffff, argc: 2, argv },
    ...{ dev: 0x800001, generation: 1, ino: program.ino, ctime_ns: 1n, mtime_ns: 1n, size: 100_000n, nlink: 1 },
    ...{ writecount: -1, fs_magic: EXT4_MAGIC, argv_bytes: argv.length, path, filename: path, cwd: '/app' },
    ...{ comm: path.slice(path.lastIndexOf('/') + 1, path.lastIndexOf('/') + 16), cgroup_path: workload.cgroupPath },
    ...{ parent_path: '/usr/bin/tini', workload: workload.id, image: workload.image, ...evidence },
  });
}

function packageOf({ package: name }: Program) {
  return { package: name, package_version: name && '1.0-1', package_match: name && 'match' };
}

export function exitRow({
  ts,
  cpu,
  cpu_seq,
  pid,
  start_ns,
  self_exec_id,
  workload,
  image,
}: ExecRow): RowOf<typeof exit> {
  return row(exit, { ts: ts + 1_000n, cpu, cpu_seq, pid, start_ns, self_exec_id, workload, image });
}

/** What became of an exec that left as `pending`. */
export function digestRow(of: ExecRow, program: Program, seq: bigint): RowOf<typeof digest> {
  const { pid, start_ns, self_exec_id, uid, flags, path, parent_path, workload, image, ts } = of;
  return row(digest, {
    ...{ ts: ts + LATE_NS, event_ts: ts, stream: STREAM.digest, seq, role: 'exec' },
    ...{ pid, start_ns, self_exec_id, uid, flags, path, parent_path, workload, image },
    ...{ sha256: program.sha256, digest_source: 'held', digest_strength: 'exact', ...packageOf(program) },
  });
}

/** Nothing was lost in the ring of a node that has seen so many execs. */
export function lossRow(tsNs: bigint, seq: bigint, seen: bigint): RowOf<typeof loss> {
  return row(loss, { ts: tsNs, stream: STREAM.loss, seq, event_type: 'exec', place: 'ring', seen, sent: seen });
}

export function heartbeatRow(tsNs: bigint, seq: bigint): RowOf<typeof heartbeat> {
  const what = { probe_version: '0.1.0', hooks: 'tracepoint', kernel: 'simulated', mode: 'live' };
  return row(heartbeat, { ts: tsNs, stream: STREAM.heartbeat, seq, ...what });
}
