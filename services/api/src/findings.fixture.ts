/** For tests of findings: an api with a feed, and short ways to make, read and change findings. */
import assert from 'node:assert/strict';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';
import { openTestApi, startParts } from './api.fixture.ts';
import { createFeed, type ExecFacts } from './feed.fixture.ts';
import { POLICY_TOPIC } from './policy-publisher.ts';

const HOUR_NS = 3_600_000_000_000n;
const NOW_NS = BigInt(Date.now()) * 1_000_000n;

/** Nanoseconds since the epoch, that many hours before the tests began. */
export const ago = (hours: number) => NOW_NS - BigInt(hours) * HOUR_NS;
export const inAMinute = () => BigInt(Date.now() + 60_000) * 1_000_000n;

let content = 0;
/** A digest that no other case of the file uses, as a byte string. */
export const fresh = () => Buffer.from((++content).toString(16).padStart(64, '0'), 'hex').toString('latin1');
export const hex = (bytes: string) => Buffer.from(bytes, 'latin1').toString('hex');

export const NO_DIGEST = { sha256: '', digest_source: '', digest_strength: '', digest_reason: 'vanished' } as const;

export type FindingsApi = Awaited<ReturnType<typeof openFindings>>;

export async function openFindings() {
  const parts = await startParts();
  const api = await openTestApi(parts);
  const feed = createFeed(parts.store);
  return {
    parts,
    api,
    feed,
    /** The finding that one exec of fresh content leads to. */
    async one(part: ExecFacts = {}, node?: string) {
      const facts = { ts: ago(1), sha256: fresh(), ...part };
      const [finding] = await feed.exec([facts], node === undefined ? {} : { node });
      assert.ok(finding !== undefined);
      return { id: finding.finding_id, sha256: hex(facts.sha256), facts };
    },
    get: async (id: string) => (await api.ask(`/v1/findings/${id}`, { role: 'viewer' })).json,
    async idsOf(query: string) {
      const { status, json, text } = await api.ask(`/v1/findings?limit=1000&${query}`);
      assert.equal(status, 200, text);
      return json.items.map(({ id }: { id: string }) => id);
    },
    resolve: (id: string, reason = 'rebuilt') =>
      api.ask(`/v1/findings/${id}/resolve`, { body: { reason }, role: 'analyst' }),
    acknowledge: (id: string) => api.ask(`/v1/findings/${id}/acknowledge`, { body: {}, role: 'analyst' }),
    async approve(match: object, effect = 'allow'): Promise<string> {
      const body = { match, effect, scope: { workload: '*' }, reason: 'ours' };
      const { status, json } = await api.ask('/v1/approvals', { body });
      assert.equal(status, 201);
      return json.id;
    },
    /** Records about a finding on the bus. */
    async published(findingId: string) {
      const records: PolicyRecord[] = [];
      const follower = await parts.bus.follow(POLICY_TOPIC, (batch) => {
        for (const { key, value } of batch) {
          if (key === `finding:${findingId}`) records.push(JSON.parse(Buffer.from(value).toString()));
        }
      });
      await follower.close();
      return records.filter((record) => record.kind === 'action');
    },
    async stop() {
      await api.close();
      await parts.stop();
    },
  };
}
