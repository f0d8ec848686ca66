/** What the probe says about itself: cumulative loss counters, and a sign of life. */
import { release } from 'node:os';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { BpfObject } from './bpf-object.ts';
import type { EventsOut, Row } from './events-out.ts';
import { STREAM } from './observer.ts';

export const PROBE_VERSION = '0.1.0';
export const USER_SPACE = 0xffff_ffff;

/** Counters kept in user space: descriptors fanotify delivered, and events lost there. */
export type Tally = {
  delivered: bigint;
  /** How often the kernel's queue was full: how many descriptors that cost it does not say. */
  overflows: bigint;
  overflowedAtNs: bigint;
  unopened: bigint;
  undecodable: bigint;
};

export function newTally(): Tally {
  return { delivered: 0n, overflows: 0n, overflowedAtNs: 0n, unopened: 0n, undecodable: 0n };
}

export type ReportOptions = {
  readonly bpf: BpfObject;
  readonly out: EventsOut;
  readonly tally: Tally;
  readonly nowNs: () => bigint;
  readonly nextSeq: (stream: number) => bigint;
  readonly waitingDigests: () => number;
  readonly heldDescriptors: () => number;
};

type Place = Pick<Row<'loss'>, 'cpu' | 'event_type' | 'place' | 'seen' | 'sent' | 'lost'>;

/** Everything counted so far, place by place; seen = sent + lost in each. */
function places({ bpf, out, tally }: ReportOptions): Place[] {
  const ring = (['exec', 'exit'] as const).flatMap((event_type) =>
    bpf.counters(EVENTS[event_type].id).map((counters) => ({ ...counters, event_type, place: 'ring' })),
  );
  const lost = tally.overflows + tally.unopened;
  const own = { cpu: USER_SPACE };
  const dropped = [...out.dropped()].map(([event_type, rows]) => ({
    ...own,
    ...{ event_type, place: 'outbox', seen: rows, sent: 0n, lost: rows },
  }));
  return [
    ...ring,
    ...dropped,
    { ...own, event_type: 'digest', place: 'fanotify', seen: tally.delivered + lost, sent: tally.delivered, lost },
    { ...own, event_type: 'exec', place: 'decode', seen: tally.undecodable, sent: 0n, lost: tally.undecodable },
  ];
}

/** `stopping` is the last word of a probe that was asked to end. */
export type Report = (mode?: 'live' | 'stopping') => void;

/** Sends counters that changed since the last call, and a heartbeat. The first call sends them all, zeros too. */
export function createReporter(options: ReportOptions): Report {
  const reported = new Map<string, bigint>();
  return (mode = 'live') => {
    for (const place of places(options)) {
      const key = `${place.cpu}:${place.event_type}:${place.place}`;
      if (reported.get(key) === place.seen) continue;
      reported.set(key, place.seen);
      const seq = options.nextSeq(STREAM.loss);
      options.out.add('loss', { ...place, ts: options.nowNs(), stream: STREAM.loss, seq });
    }
    options.out.add('heartbeat', {
      ts: options.nowNs(),
      stream: STREAM.heartbeat,
      seq: options.nextSeq(STREAM.heartbeat),
      probe_version: PROBE_VERSION,
      hooks: 'tracepoint',
      kernel: release(),
      mode,
      outbox_depth: BigInt(options.out.depth()),
      waiting_digests: options.waitingDigests(),
      held_descriptors: options.heldDescriptors(),
    });
  };
}
