import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from './metrics.ts';

test('a scrape shows the process, every stage from its start, and what a service adds', async () => {
  const metrics = createMetrics('x_');
  metrics.stage('a', 't');
  const sent = metrics.counter('sent_total', 'Sent.', ['kind']);
  sent.inc({ kind: 'mail' }, 3);
  metrics.gauge('depth', 'Depth.').set(7);
  metrics.histogram('wait_seconds', 'Wait.', [1, 2]).observe(1.5);
  const { contentType, body } = await metrics.text();
  assert.match(contentType, /^text\/plain/);
  for (const line of [
    /^x_process_cpu_seconds_total \d/m,
    /^x_process_resident_memory_bytes \d/m,
    /^x_nodejs_eventloop_lag_p99_seconds /m,
    /^x_stage_in_total\{stage="a",topic="t"\} 0$/m,
    /^x_stage_retries_total\{stage="a",topic="t"\} 0$/m,
    /^x_sent_total\{kind="mail"\} 3$/m,
    /^x_depth 7$/m,
    /^x_wait_seconds_bucket\{le="2"\} 1$/m,
  ]) {
    assert.match(body, line);
  }
});

test('stages do not mix, and two registries do not know each other', async () => {
  const metrics = createMetrics();
  const facts = { in: 1, out: 2, dead: 3, batch: 4, seconds: 0.5 };
  metrics.stage('a', 't').processed(facts);
  metrics.stage('b', 't').processed({ ...facts, in: 10 });
  const { body } = await metrics.text();
  assert.match(body, /stage_in_total\{stage="a",topic="t"\} 1\n/);
  assert.match(body, /stage_in_total\{stage="b",topic="t"\} 10\n/);
  assert.match(body, /stage_dead_total\{stage="b",topic="t"\} 3\n/);
  assert.doesNotMatch((await createMetrics().text()).body, /stage="a"/);
});

test('a bus that cannot be asked for its lag does not cost the scrape', async () => {
  const metrics = createMetrics();
  metrics.stage('a', 't').watchLag(() => Promise.reject(new Error('locked')));
  metrics.stage('b', 't').watchLag(async () => ({ records: 5, oldestAgeMs: 1_500 }));
  const { body } = await metrics.text();
  assert.doesNotMatch(body, /stage_lag_records\{stage="a"/);
  assert.match(body, /stage_lag_records\{stage="b",topic="t"\} 5\n/);
  assert.match(body, /stage_oldest_unacked_seconds\{stage="b",topic="t"\} 1.5\n/);
});
