/** Copies approvals and actions from the store, where they are true, to `bintrail.policy`, where detect reads them. */
import { readPolicyRecord } from '@bintrail/analysis/policy-view.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';

export const POLICY_TOPIC = 'bintrail.policy';

export type PolicyPublisher = {
  /**
   * Publishes what the store already holds. Never fails for a bus that is down: what did not go out is kept and sent
   * again, in order; after a crash `publishMissing` finds it.
   */
  publish(records: readonly PolicyRecord[]): Promise<void>;
  /** Publishes those records whose key the topic does not have at that revision. */
  publishMissing(records: readonly PolicyRecord[]): Promise<void>;
  /** Records that wait for the bus. */
  waiting(): number;
  close(): Promise<void>;
};

const RETRY_MS = 1000;

export function createPolicyPublisher(bus: Bus, log: Log): PolicyPublisher {
  let waiting: PolicyRecord[] = [];
  let sending: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  async function send(): Promise<void> {
    clearTimeout(timer);
    try {
      while (waiting.length > 0) {
        const batch = waiting;
        await bus.publish(POLICY_TOPIC, batch.map(toMessage));
        waiting = waiting.slice(batch.length);
      }
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      log.warn({ err: error, waiting: waiting.length }, 'policy not published yet');
      if (!isClosed) timer = setTimeout(flush, Math.max(RETRY_MS, error.retryAfterMs));
    } finally {
      // At once, not after the promise settled: what is published in between must start a run of its own.
      sending = undefined;
    }
  }

  async function flush(): Promise<void> {
    if (waiting.length > 0) sending ??= send();
    await sending;
  }

  async function publish(records: readonly PolicyRecord[]): Promise<void> {
    waiting = [...waiting, ...records];
    await flush();
  }

  return {
    publish,
    async publishMissing(records) {
      const held = await heldRevisions(bus);
      await publish(records.filter((record) => (held.get(keyOf(record)) ?? -1) < record.revision));
    },
    waiting: () => waiting.length,
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await sending;
    },
  };
}

/** Highest revision of each key in the topic right now. */
async function heldRevisions(bus: Bus): Promise<Map<string, number>> {
  const held = new Map<string, number>();
  const follower = await bus.follow(POLICY_TOPIC, (records) => {
    for (const { key, value } of records) {
      const record = readPolicyRecord(value);
      if (record !== undefined) held.set(key, Math.max(held.get(key) ?? -1, record.revision));
    }
  });
  await follower.close();
  return held;
}

function keyOf(record: PolicyRecord): string {
  return record.kind === 'approval' ? `approval:${record.approval.id}` : `finding:${record.finding_id}`;
}

function toMessage(record: PolicyRecord): { key: string; value: Uint8Array } {
  return { key: keyOf(record), value: Buffer.from(JSON.stringify(record)) };
}
