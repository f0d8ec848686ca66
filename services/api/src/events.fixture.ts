/** For tests: brings events of every type into the store the way ingest does, from any node, boot and run of a probe. */
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { planOf } from '@bintrail/ingest/store.fixture.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import type { RowOf } from '@bintrail/schemas/field.ts';

export const BOOT = '11111111-2222-3333-4444-555555555555';

type Facts<N extends EventName> = Partial<RowOf<(typeof EVENTS)[N]>>;
type Source = { readonly node?: string; readonly boot?: string; readonly probeEpoch?: bigint };
export type SendEvents = <N extends EventName>(name: N, rows: readonly Facts<N>[], source?: Source) => Promise<void>;

const ZEROS = { text: '', bytes: '', digest: '', u64: 0n, time: 0n, u8: 0, u16: 0, u32: 0, i32: 0 } as const;
const CONTENT = { digest_source: 'held', digest_strength: 'exact' };
const PLACE = { workload: 'systemd/nginx.service', path: '/opt/a', role: 'script' };

export const PENDING = { sha256: '', digest_source: '', digest_strength: '', digest_reason: 'pending' };

/** Without more said it is one run of `/opt/a`, an hour ago, with an exact digest. */
export function createSendEvents(store: Store): SendEvents {
  const storeEvents = createStoreEvents(store);
  let next = 0;
  return async (name, rows, { node = 'node-a', boot = BOOT, probeEpoch = 1n } = {}) => {
    const { fields } = EVENTS[name];
    const full = rows.map((row) => {
      const pid = 1000 + next * 1000 + rows.indexOf(row);
      const ts = BigInt(Date.now() - 3_600_000) * 1_000_000n;
      const facts: Record<string, unknown> = { pid, self_exec_id: 1, ts, event_ts: ts, ...CONTENT, ...PLACE, ...row };
      return Object.fromEntries(fields.map(({ name, kind }) => [name, facts[name] ?? ZEROS[kind]]));
    });
    const message = encodeBatch(EVENTS[name], { node, boot, probeEpoch, batchSeq: next }, full as never);
    await storeEvents(planOf([message], { from: next }));
    next += 1;
  };
}
