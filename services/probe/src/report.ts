/** What the probe says about itself: cumulative loss counters, and a sign of life. */
import { release } from 'node:os';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { interpreted, scriptRead } from '@bintrail/schemas/interpreted.ts';
import { mapping } from '@bintrail/schemas/mapping.ts';
import type { BpfObject } from './bpf-object.ts';
import { type Census, type Counting, isCounting } from './census.ts';
import type { EventsOut, Row } from './events-out.ts';
import type { Hooks } from './hooks.ts';
import type { Reader } from './reader.ts';
import { STREAM } from './streams.ts';

export const PROBE_VERSION = '0.1.0';
export const USER_SPACE = 0xffff_ffff;

/** Counters kept by the main thread: records that are none of ours, by the ring they came from. */
export type Tally = { readonly undecodable: Record<'exec' | 'load', bigint> };

export function newTally(): Tally {
  return { undecodable: { exec: 0n, load: 0n } };
}

export type ReportOptions = {
  readonly bpf: BpfObject;
  readonly hooks: Hooks;
  readonly census: Census;
  readonly out: EventsOut;
  readonly tally: Tally;
  readonly reader: Pick<Reader, 'figure'>;
  readonly nextSeq: (stream: number) => bigint;
  readonly outboxDepth: () => number;
  readonly waitingDigests: () => number;
  readonly fanotifyBacklogBytes: () => number;
};

/** The types of records by what they tell of. A load that is only counted has passed the ring too. */
const KERNEL_EVENTS = { exec: EVENTS.exec.id, exit: EVENTS.exit.id, load: mapping.id, file: EVENTS.file.id };
/** The hooks that stand for one event each. */
const HOOKS = { exec: 'on_exec', exit: 'on_exit', load: 'on_map' } as const;

type Place = Pick<Row<'loss'>, 'cpu' | 'event_type' | 'place' | 'seen' | 'sent' | 'lost'>;

/** Everything counted so far, place by place; seen = sent + lost in each. */
function places({ bpf, hooks, out, tally, reader }: ReportOptions): Place[] {
  const ring = Object.entries(KERNEL_EVENTS).flatMap(([event_type, id]) =>
    bpf.counters(id).map((counters) => ({ ...counters, event_type, place: 'ring' })),
  );
  const skipped = Object.entries(HOOKS).map(([event_type, hook]) => {
    const misses = bpf.recursionMisses(hook);
    return { cpu: USER_SPACE, event_type, place: 'recursion', seen: misses, sent: 0n, lost: misses };
  });
  // How many descriptors a full queue cost the kernel does not say: each time counts as one.
  const lost = reader.figure('overflows') + reader.figure('unopened');
  // First what was given up: what is delivered or asked for meanwhile only adds to what it is a part of.
  const released = reader.figure('released');
  const delivered = reader.figure('delivered');
  const toRead = delivered + reader.figure('asked');
  const own = { cpu: USER_SPACE };
  const dropped = [...out.dropped()].map(([event_type, rows]) => ({
    ...own,
    ...{ event_type, place: 'outbox', seen: rows, sent: 0n, lost: rows },
  }));
  const lostSteps = hooks.steps?.lost() ?? 0n;
  const lostScripts = [interpreted.id, scriptRead.id]
    .flatMap((id) => bpf.counters(id))
    .reduce((sum, { lost: records }) => sum + records, 0n);
  const undecodable = (['exec', 'load'] as const).map((event_type) => {
    const records = tally.undecodable[event_type];
    return { ...own, event_type, place: 'decode', seen: records, sent: 0n, lost: records };
  });
  return [
    ...ring,
    ...skipped,
    ...dropped,
    { ...own, event_type: 'digest', place: 'fanotify', seen: delivered + lost, sent: delivered, lost },
    {
      ...own,
      ...{ event_type: 'digest', place: 'hash_queue', seen: toRead, sent: toRead - released, lost: released },
    },
    // Their execs are told all the same; what they knew of its scripts and IMA's digest is gone.
    ...(lostSteps > 0n
      ? [{ ...own, event_type: 'digest', place: 'step_ring', seen: lostSteps, sent: 0n, lost: lostSteps }]
      : []),
    // The interpreter is told of all the same, and its script by its arguments or not at all.
    ...(lostScripts > 0n
      ? [{ ...own, event_type: 'script', place: 'code_ring', seen: lostScripts, sent: 0n, lost: lostScripts }]
      : []),
    ...undecodable,
  ];
}

/** `stopping` is the last word of a probe that was asked to end. */
type Mode = 'live' | 'stopping';
export type Report = (mode?: Mode) => void;

type CensusFacts = Omit<Row<'census'>, 'ts' | 'stream' | 'seq'>;

/** What the census says now, CPU by CPU; without one, a row that says why. */
function censusFacts({ bpf, census }: ReportOptions): CensusFacts[] {
  if (isCounting(census)) return countedFacts(bpf, census);
  const none = { cpus: 0, census_id: 0n, taken_over: 0n, execs: 0n, exits: 0n };
  return [{ cpu: USER_SPACE, ...none, reason: census.reason }];
}

// The counts are read first: where no exec was seen by then, what is counted so far is not more than what was taken over.
function countedFacts(bpf: BpfObject, { id, counts }: Counting): CensusFacts[] {
  const now = counts();
  const firsts = bpf.takeovers();
  return now.map(({ cpu, execs, exits }) => {
    const first = firsts[cpu]!;
    const taken_over = first === 0n ? execs : first - 1n;
    return { cpu, cpus: now.length, census_id: id, taken_over, execs, exits, reason: '' };
  });
}

/**
 * Sends counters that changed since the last call, and a heartbeat, all as made at `atNs`. The first call sends them all,
 * zeros too.
 */
export function createReporter(options: ReportOptions): (atNs: bigint, mode?: Mode) => void {
  const reported = new Map<string, bigint>();
  return (atNs, mode = 'live') => {
    for (const place of places(options)) {
      const key = `${place.cpu}:${place.event_type}:${place.place}`;
      // Either only grows, and what is lost may be so long after it was seen.
      const counted = place.seen + place.lost;
      if (reported.get(key) === counted) continue;
      reported.set(key, counted);
      const seq = options.nextSeq(STREAM.loss);
      options.out.add('loss', { ...place, ts: atNs, stream: STREAM.loss, seq });
    }
    for (const facts of censusFacts(options)) {
      const key = `${facts.cpu}:census`;
      const counted = facts.execs + facts.exits;
      if (reported.get(key) === counted) continue;
      reported.set(key, counted);
      const seq = options.nextSeq(STREAM.census);
      options.out.add('census', { ...facts, ts: atNs, stream: STREAM.census, seq });
    }
    options.out.add('heartbeat', {
      ts: atNs,
      stream: STREAM.heartbeat,
      seq: options.nextSeq(STREAM.heartbeat),
      probe_version: PROBE_VERSION,
      hooks: options.hooks.family,
      kernel: release(),
      mode,
      outbox_depth: BigInt(options.outboxDepth()),
      waiting_digests: options.waitingDigests(),
      held_descriptors: Number(options.reader.figure('held')),
      ring_backlog_bytes: BigInt(options.bpf.ring.backlogBytes() + options.bpf.codeRing.backlogBytes()),
      fanotify_backlog_bytes: BigInt(options.fanotifyBacklogBytes()),
    });
  };
}
