import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { findingCounts } from '../finding-counts.ts';
import { ago, type FindingsApi, openFindings } from '../findings.fixture.ts';

const IN_USE = flagBit('in_use');

describe('findings of code that changed while it was in use', () => {
  let api: FindingsApi;
  before(async () => {
    api = await openFindings();
  });
  after(async () => {
    await api.stop();
  });

  it('are counted in the changes, repeats included, but for those of package managers', async () => {
    const path = '/usr/lib/x\xff.so';
    const [finding] = await api.feed.file([{ path, ts: ago(3) }]);
    assert.ok(finding !== undefined);
    await api.feed.file([{ path, ts: ago(2), repeats: 4 }], { node: 'node-b' });
    await api.feed.file([
      { path, ts: ago(1), flags: IN_USE | flagBit('by_installer') },
      { path, ts: ago(1), flags: 0 },
      { path: '/usr/lib/y.so', ts: ago(1) },
    ]);
    const shown = await api.get(finding.finding_id);
    assert.deepEqual([shown.count, shown.nodes, shown.node_count], [6, ['node-a', 'node-b'], 2]);
    assert.deepEqual([shown.path, shown.sha256, shown.role], ['/usr/lib/x\\xff.so', null, null]);
    assert.equal(shown.evidence.written_by.path, '/bin/cp');
    assert.equal(shown.evidence.written_by.argv.length, 0);
    assert.deepEqual([shown.verdict.value, shown.state], ['unknown', 'open']);
    const counts = await findingCounts(api.parts.store)(finding);
    assert.deepEqual([counts.count, counts.nodes, counts.firstNs], [6, 2, finding && BigInt(finding.ts_ns)]);
    assert.ok((await api.idsOf('node=node-b')).includes(finding.finding_id));
    assert.ok(!(await api.idsOf('node=node-c')).includes(finding.finding_id));
  });

  it('are opened again by a change after they were resolved, and by no approval', async () => {
    const path = '/usr/bin/app';
    const [finding] = await api.feed.file([{ path, ts: ago(2) }]);
    const scope = { workload: finding!.workload };
    const body = { match: { path }, effect: 'allow', scope, reason: 'ours', expires_at: null };
    assert.equal((await api.api.ask('/v1/approvals', { body })).status, 201);
    assert.equal((await api.get(finding!.finding_id)).state, 'open');
    await api.resolve(finding!.finding_id);
    assert.equal((await api.get(finding!.finding_id)).state, 'resolved');
    await api.feed.file([{ path, ts: ago(-1) }]);
    assert.equal((await api.get(finding!.finding_id)).state, 'open');
  });
});
