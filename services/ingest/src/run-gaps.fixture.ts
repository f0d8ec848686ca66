/** A node whose execs are counted by an outsider, and the messages its probes make of them. */
import { type BatchHeader, encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition, RowOf } from '@bintrail/schemas/field.ts';

/** One run of a probe, and the time before it. Numbers of execs. */
export type Life = {
  /** While no probe was there. */
  readonly before: number;
  /** Seen by this run and stored. */
  readonly stored: number;
  /** Lost in the ring, and reported so. */
  readonly lost: number;
  /** In its memory when it was killed. */
  readonly held: number;
  /** Killed before it told of its census. */
  readonly untold?: boolean;
};

export const CPUS = 2;
const RUN_MS = 10_000;
const CENSUS_ID = 7n;

export type Message = { readonly life: number; readonly bytes: Uint8Array };

/** What the probes of these lives send, in order; life n begins at `startMs` + n × 20 s and lasts 10 s. */
export function messagesOf(
  lives: readonly Life[],
  header: Omit<BatchHeader, 'probeEpoch' | 'batchSeq'>,
  startMs: number,
) {
  const censusOf: [bigint, bigint] = [0n, 0n];
  const count = (execs: number, cpu: number) => {
    censusOf[cpu]! += BigInt(Math.floor((execs + cpu) / CPUS));
  };
  return lives.flatMap(({ before, stored, lost, held, untold = false }, life): Message[] => {
    const beganMs = startMs + life * 2 * RUN_MS;
    const ts = BigInt(beganMs) * 1_000_000n;
    const endNs = ts + BigInt(RUN_MS) * 1_000_000n;
    for (const cpu of [0, 1]) count(before, cpu);
    const taken = [...censusOf];
    for (const cpu of [0, 1]) count(stored + lost + held, cpu);
    let batchSeq = 0;
    const message = <D extends EventDefinition>(definition: D, rows: readonly RowOf<D>[]): Message => {
      const full = { ...header, probeEpoch: BigInt(beganMs), batchSeq };
      batchSeq += 1;
      return { life, bytes: encodeBatch(definition, full, rows) };
    };
    const censusRows = (at: bigint, execs: readonly bigint[]) =>
      [0, 1].map((cpu) =>
        blankRow(EVENTS.census, {
          ...{ ts: at, cpu, cpus: CPUS, census_id: CENSUS_ID, taken_over: taken[cpu]!, execs: execs[cpu]! },
        }),
      );
    const execs = Array.from({ length: stored }, (_, n) =>
      blankRow(EVENTS.exec, { ts: ts + BigInt(n), cpu: n % CPUS, cpu_seq: BigInt(n), pid: n }),
    );
    const counted = { cpu: 0, event_type: 'exec', place: 'ring' };
    const told = untold
      ? []
      : [
          message(EVENTS.census, censusRows(ts, taken)),
          message(EVENTS.census, censusRows(endNs - 1n, censusOf)),
          message(EVENTS.loss, [
            blankRow(EVENTS.loss, { ...counted, ts: endNs, seen: BigInt(stored + lost), lost: BigInt(lost) }),
            blankRow(EVENTS.loss, { ...counted, event_type: 'exit', ts, seen: 99n, lost: 99n }),
          ]),
          message(
            EVENTS.heartbeat,
            [ts, endNs].map((at) => blankRow(EVENTS.heartbeat, { ts: at, mode: 'live' })),
          ),
        ];
    return [...(execs.length > 0 ? [message(EVENTS.exec, execs)] : []), ...told];
  });
}
