/** A silent probe's finding as the api shows it, on the real engine. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { silences } from '@bintrail/analysis/silence.ts';
import { storeFindings } from '@bintrail/ingest/findings-stage.ts';
import { planOf } from '@bintrail/ingest/store.fixture.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createSendEvents, type SendEvents } from '../events.fixture.ts';

let parts: TestParts;
let api: TestApi;
let send: SendEvents;
let offset = 0;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts);
  send = createSendEvents(parts.store);
});
after(async () => {
  await api.close();
  await parts.stop();
});

const beat = (node: string, seq: bigint, probeEpoch = 5n) =>
  send('heartbeat', [{ seq, mode: 'live' }], { node, boot: 'b-1', probeEpoch });

/** Stores the finding of a node whose last heartbeat was number `seq`; its id. */
async function silent(node: string, seq: bigint): Promise<string> {
  const heardAtMs = Date.now() - 400_000;
  const words = [{ node, boot: 'b-1', probeEpoch: 5n, seq, mode: 'live', heardAtMs }];
  const [finding] = silences(words, Date.now());
  await storeFindings(parts.store, planOf([Buffer.from(JSON.stringify(finding))], { from: offset++ }));
  return finding!.finding_id;
}

const get = async (id: string) => (await api.ask(`/v1/findings/${id}`, { role: 'viewer' })).json;

describe('the finding of a silent probe', () => {
  it('is open until its node is heard again, whichever run of the probe that is', async () => {
    await beat('quiet', 1n);
    const id = await silent('quiet', 1n);
    const open = await get(id);
    assert.deepEqual([open.rule, open.state, open.severity, open.resolved_by], ['probe-silent', 'open', 'high', null]);
    assert.deepEqual([open.exec, open.sha256, open.path, open.role], [null, null, null, null]);
    assert.deepEqual([open.nodes, open.count, open.verdict.value], [['quiet'], 1, 'unknown']);
    assert.match(open.verdict.why, /^Nothing was heard of the probe since 20/);
    await beat('quiet', 0n, 6n);
    const heard = await get(id);
    assert.deepEqual([heard.state, heard.resolved_by, heard.episode], ['resolved', 'heard', 0]);
    const { json } = await api.ask('/v1/findings?rule=probe-silent&state=resolved&node=quiet');
    assert.deepEqual(
      json.items.map(({ id }: { id: string }) => id),
      [id],
    );
  });

  it('is acknowledged and resolved by people as any other, and approved by nothing', async () => {
    await beat('known', 1n);
    const id = await silent('known', 1n);
    await api.ask('/v1/approvals', {
      body: { match: { path: '/*' }, effect: 'allow', scope: { workload: '*' }, reason: 'all' },
    });
    await api.ask(`/v1/findings/${id}/acknowledge`, { body: {} });
    assert.equal((await get(id)).state, 'acknowledged');
    await api.ask(`/v1/findings/${id}/resolve`, { body: { reason: 'taken down' } });
    const resolved = await get(id);
    assert.deepEqual([resolved.state, resolved.resolved_by], ['resolved', 'action']);
    assert.deepEqual((await api.ask('/v1/findings?rule=probe-silent&state=open')).json.items, []);
  });
});
