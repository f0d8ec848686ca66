import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchList } from './watch-list.ts';

test('a bug of whoever is told ends the watch, and is no failure of the server', async () => {
  const bug = new TypeError('a bug');
  const states: string[] = [];
  const watching = watchList({
    api: {
      get: async () => ({ status: 200, body: { metadata: { resourceVersion: '1' }, items: [] } }),
      stream: () => assert.fail('nothing is watched after that'),
    },
    ...{ path: '/api/v1/pods', fieldSelector: '', signal: AbortSignal.timeout(10_000) },
    onList: () => {
      throw bug;
    },
    onChange: () => {},
    onState: ({ state }) => states.push(state),
  });
  await assert.rejects(watching, (error) => error === bug);
  assert.deepEqual(states, []);
});
