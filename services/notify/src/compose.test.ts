import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextGroups } from './compose.ts';
import type { Pending } from './delivery.ts';
import { digestOf, makeFinding } from './finding.fixture.ts';
import { receive } from './transitions.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const options = { access: { apiUrl: 'http://api', tokenPath: '/token' }, bundleOver: 2 };

function waiting(n: number, change: Partial<Pending> = {}): Pending {
  const finding = makeFinding({ sha256: digestOf(n) });
  const arrival = { episodeOf: () => 0, hasWebhook: true, nowMs: NOW };
  return { ...receive(undefined, finding, arrival), ...change } as Pending;
}

const failed = (retryAtMs: number): Partial<Pending> => ({
  ...{ state: 'failed', delivery_id: 'd', outcome: 'refused', code: 'http_500' },
  retry_at: new Date(retryAtMs).toISOString(),
});

test('few are told one by one, oldest first; many together', () => {
  const three = [waiting(1), waiting(2), waiting(3)];
  assert.deepEqual(nextGroups([], NOW, options), []);
  assert.deepEqual(nextGroups(three.slice(0, 2), NOW, options), three.slice(0, 1));
  assert.deepEqual(nextGroups(three, NOW, options), three);
});

test('what is not due is left out', () => {
  const later = waiting(1, failed(NOW + 1));
  const due = waiting(2, failed(NOW));
  assert.deepEqual(nextGroups([later, due], NOW, options), [due]);
  assert.deepEqual(nextGroups([later], NOW, options), []);
});

test('a message Slack did not understand does not spoil a summary of others', () => {
  const plain = [1, 2, 3].map((n) => waiting(n, { plain: true }));
  const others = [4, 5, 6].map((n) => waiting(n));
  assert.deepEqual(nextGroups([...others, ...plain], NOW, options), others);
  assert.deepEqual(nextGroups([...plain, ...others], NOW, options), plain);
});
