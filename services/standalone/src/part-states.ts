/** What `/healthz` says of the parts beside the api, from what each of them shows of itself. */
import type { PartState, Status } from '@bintrail/api/deps.ts';
import type { Health } from '@bintrail/runtime/health.ts';
import type { Mode, ProbeState } from './messages.ts';

/** When the probe was last heard of, on this process's monotonic clock. */
export type HeardOf = Omit<ProbeState, 'kind'> & { readonly atMs: number };

type Part = { health(): Health };

export type Parts = {
  readonly mode: Mode;
  readonly probe: HeardOf | undefined;
  readonly ingest: Part;
  readonly detect: Part;
  readonly notify: Part & { status(): { readonly webhook: string; readonly waiting: number } };
  readonly nowMs: number;
};

/** Three times the interval at which the probe says that it is alive. One that ended ends the supervisor. */
const SILENT_MS = 15_000;

export function partStates({ mode, probe, ingest, detect, notify, nowMs }: Parts): Status['parts'] {
  const { webhook, waiting } = notify.status();
  const { state, detail } = notify.health();
  const told = [`webhook ${webhook}, ${waiting} waiting`, ...(detail === undefined ? [] : [detail])].join('; ');
  return {
    ...(mode === 'replay'
      ? { replay: { state: 'up', detail: 'a recorded sample in place of a probe' } }
      : { probe: probeState(probe, nowMs) }),
    ingest: ingest.health(),
    detect: detect.health(),
    notify: { state, detail: told },
  };
}

function probeState(probe: HeardOf | undefined, nowMs: number): PartState {
  if (probe === undefined) return { state: 'starting' };
  const silentMs = nowMs - probe.atMs;
  if (silentMs < SILENT_MS) return { state: 'up', ...(probe.uncounted === null ? {} : { detail: probe.uncounted }) };
  return { state: 'degraded', detail: `not heard of for ${Math.round(silentMs / 1000)} s` };
}
