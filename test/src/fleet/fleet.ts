/**
 * Many nodes at once, in the wire format the probe speaks: what each would have sent, and exactly how much that was.
 * The same seed sends the same bytes. Whatever a drill does to the messages on their way, {@link Fleet.account} says
 * what must be in the store at the end.
 */
import type { Message } from '@bintrail/runtime/bus.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { digest } from '@bintrail/schemas/digest.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import type { EventDefinition, RowOf } from '@bintrail/schemas/field.ts';
import { heartbeat } from '@bintrail/schemas/heartbeat.ts';
import { loss } from '@bintrail/schemas/loss.ts';
import { seededRandom } from '../seeded-random.ts';
import { createEstate, type Estate, type Program, type Workload } from './estate.ts';
import { digestRow, type ExecRow, execRow, exitRow, heartbeatRow, lossRow } from './rows.ts';

export type FleetOptions = {
  readonly seed: number;
  readonly nodes: number;
  readonly workloads: number;
  /** Wall-clock time of the first event, milliseconds since the epoch. */
  readonly startMs: number;
  /** A message has 1 to this many exec rows. */
  readonly maxRows: number;
};

export type FleetAccount = {
  readonly execs: number;
  readonly exits: number;
  /** Digests that came after their exec. */
  readonly late: number;
  readonly messages: number;
  /** Execs of each workload by hex digest, once all late digests have come. */
  readonly sightings: ReadonlyMap<string, ReadonlyMap<string, number>>;
};

export type Fleet = {
  /** So many exec rows and what belongs to them, as messages in the order in which they were sent. */
  readonly send: (execs: number) => Message[];
  /** What is still to be said: late digests, the last counters. */
  readonly finish: () => Message[];
  readonly account: () => FleetAccount;
};

type Node = {
  readonly name: string;
  readonly boot: string;
  readonly workloads: readonly Workload[];
  batchSeq: number;
  serial: number;
  lateSeq: bigint;
  reportSeq: bigint;
  /** How wrong its clock is. */
  clockOffsetMs: number;
  /** Execs that left as `pending`. */
  pending: { readonly row: ExecRow; readonly program: Program }[];
};

const WORKLOADS_A_NODE = 6;
/** Execs of a file that has not been hashed yet. */
const LATE_SHARE = 0.02;
const EXIT_SHARE = 0.9;
/** One workload gets a new version every so many execs of the fleet. */
const ROLL_OUT_EVERY = 2_000;
/** A node tells its counters, and that it lives, after about so many messages. */
const REPORT_EVERY = 20;
/** Now and then a clock is set, by up to an hour. */
const CLOCK_STEP_SHARE = 0.01;
const MAX_CLOCK_STEP_MS = 3_600_000;
/** Some programs run far more often than others. */
const SKEW = 3;
const NS_PER_MS = 1_000_000n;

type World = {
  readonly options: FleetOptions;
  readonly random: () => number;
  readonly estate: Estate;
  readonly nodes: readonly Node[];
  readonly sightings: Map<string, Map<string, number>>;
  readonly sums: { execs: number; exits: number; late: number; messages: number };
};

export function createFleet(options: FleetOptions): Fleet {
  const random = seededRandom(options.seed);
  const estate = createEstate(options.workloads, random);
  const nodes = Array.from({ length: options.nodes }, (_, index) => createNode(index, estate, random));
  const sums = { execs: 0, exits: 0, late: 0, messages: 0 };
  const world: World = { options, random, estate, nodes, sums, sightings: new Map() };
  return {
    send: (execs) => {
      const sent: Message[] = [];
      for (const end = sums.execs + execs; sums.execs < end; ) sent.push(...sendSome(world, end - sums.execs));
      return sent;
    },
    finish: () =>
      nodes.flatMap((node) => (node.serial === 0 ? [] : [...sendLate(world, node), ...report(world, node)])),
    account: () => ({ ...sums, sightings: world.sightings }),
  };
}

function createNode(index: number, { workloads }: Estate, random: () => number): Node {
  return {
    name: `fleet-${index}`,
    boot: `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`,
    workloads: Array.from({ length: WORKLOADS_A_NODE }, () => pick(workloads, random)),
    ...{ batchSeq: 0, serial: 0, lateSeq: 0n, reportSeq: 0n, clockOffsetMs: 0, pending: [] },
  };
}

function pick<T>(items: readonly T[], random: () => number, skew = 1): T {
  return items[Math.floor(items.length * random() ** skew)]!;
}

/** What one node has gathered: late digests of earlier execs, at most `execs` new ones, exits, now and then a report. */
function sendSome(world: World, execs: number): Message[] {
  const { random, nodes, options } = world;
  const node = pick(nodes, random);
  const late = sendLate(world, node);
  const count = Math.min(execs, 1 + Math.floor(random() * options.maxRows));
  const rows = Array.from({ length: count }, () => nextExec(world, node));
  const sent = [...late, message(world, node, exec, rows)];
  const ended = rows.filter(() => random() < EXIT_SHARE).map(exitRow);
  world.sums.exits += ended.length;
  if (ended.length > 0) sent.push(message(world, node, exit, ended));
  if (random() < CLOCK_STEP_SHARE) node.clockOffsetMs = Math.floor((random() - 0.5) * 2 * MAX_CLOCK_STEP_MS);
  return random() < 1 / REPORT_EVERY ? [...sent, ...report(world, node)] : sent;
}

function nextExec(world: World, node: Node): ExecRow {
  const { random, sums, estate } = world;
  const workload = pick(node.workloads, random);
  const program = pick(workload.programs, random, SKEW);
  const late = random() < LATE_SHARE;
  const row = execRow({ serial: node.serial, workload, program, tsNs: nowNs(world, node), late });
  if (late) node.pending.push({ row, program });
  node.serial += 1;
  sums.execs += 1;
  count(world, workload.id, Buffer.from(program.sha256, 'latin1').toString('hex'));
  if (sums.execs % ROLL_OUT_EVERY === 0) estate.rollOut(pick(estate.workloads, random));
  return row;
}

function count({ sightings }: World, workload: string, sha256: string): void {
  const digests = sightings.get(workload) ?? new Map<string, number>();
  sightings.set(workload, digests.set(sha256, (digests.get(sha256) ?? 0) + 1));
}

function sendLate(world: World, node: Node): Message[] {
  const rows = node.pending.splice(0).map(({ row, program }) => digestRow(row, program, node.lateSeq++));
  world.sums.late += rows.length;
  return rows.length === 0 ? [] : [message(world, node, digest, rows)];
}

function report(world: World, node: Node): Message[] {
  const [atNs, seq] = [nowNs(world, node), node.reportSeq++];
  return [
    message(world, node, loss, [lossRow(atNs, seq, BigInt(node.serial))]),
    message(world, node, heartbeat, [heartbeatRow(atNs, seq)]),
  ];
}

/** The fleet's clock moves a millisecond an exec; a node's is right until somebody sets it. */
function nowNs({ options, sums }: World, { clockOffsetMs }: Node): bigint {
  return BigInt(options.startMs + sums.execs + clockOffsetMs) * NS_PER_MS;
}

function message<D extends EventDefinition>(
  { sums, options }: World,
  node: Node,
  definition: D,
  rows: readonly RowOf<D>[],
): Message {
  const header = { node: node.name, boot: node.boot, probeEpoch: BigInt(options.startMs), batchSeq: node.batchSeq };
  node.batchSeq += 1;
  sums.messages += 1;
  return { key: node.name, value: encodeBatch(definition, header, rows) };
}
