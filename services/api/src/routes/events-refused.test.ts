import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';

let parts: TestParts;
let api: TestApi;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts);
});
after(async () => {
  await api.close();
  await parts.stop();
});

describe('a list of events', () => {
  it('refuses what is not valid, and names it', async () => {
    for (const query of [
      'type=fork',
      'sha256=ab',
      'exec_id=1:2',
      'pid=-1',
      'pid=4294967296',
      'uid=x',
      'flags=memfd,nope',
      'since=yesterday',
      'limit=0',
      'cursor=x',
      'nodes=a',
    ]) {
      const { status, json } = await api.ask(`/v1/events?${query}`);
      assert.equal(status, 400, query);
      assert.equal(json.errors[0].at, query.split('=')[0]);
    }
    assert.equal((await api.ask('/v1/events', { role: null })).status, 401);
  });

  it('takes SQL for text', async () => {
    for (const name of ['type', 'sha256', 'workload', 'node', 'exec_id', 'pid', 'uid', 'path', 'flags', 'cursor']) {
      for (const value of ["' OR 1=1 --", "x') UNION ALL SELECT 1 --", '{node:String}', "\\'", '\u0000', '%*']) {
        const { status, json, text } = await api.ask(`/v1/events?${name}=${encodeURIComponent(value)}`);
        assert.ok(status === 400 || (status === 200 && json.items.length === 0), `${name}=${value}: ${text}`);
      }
    }
  });
});
