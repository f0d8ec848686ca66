import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findingSchema } from '@bintrail/schemas/finding.ts';
import { type LastWord, SILENT_AFTER_MS, STOPPING, silences } from './silence.ts';

const NOW_MS = Date.parse('2026-11-23T10:20:00Z');
const minutesAgo = (minutes: number) => NOW_MS - minutes * 60_000;
const word = (node: string, heardAtMs: number, part: Partial<LastWord> = {}): LastWord => ({
  ...{ node, boot: 'b-1', probeEpoch: 7n, seq: 40n, mode: 'live', heardAtMs },
  ...part,
});
const groups = (words: readonly LastWord[], nowMs = NOW_MS) =>
  new Set(silences(words, nowMs).map(({ group_id }) => group_id)).size;

describe('silences', () => {
  it('are of those unheard for five minutes, and of no replay', () => {
    const words = [
      word('here', NOW_MS - 5_000),
      word('edge', NOW_MS - SILENT_AFTER_MS),
      word('gone', NOW_MS - SILENT_AFTER_MS - 1),
      word('replay:x', minutesAgo(60), { mode: 'replay' }),
    ];
    const found = silences(words, NOW_MS);
    assert.deepEqual(
      found.map(({ node }) => node),
      ['gone'],
    );
    const [gone] = found.map((finding) => findingSchema.parse(finding));
    assert.deepEqual([gone!.rule, gone!.severity, gone!.subject], ['probe-silent', 'high', 'probe:gone:b-1:7:40']);
    assert.match(gone!.evidence.verdict.why, /since 2026-11-23T10:14:59.999Z.*took no leave/);
  });

  it('tell a probe that was stopped from one that vanished', () => {
    const [stopped] = silences([word('a', minutesAgo(6), { mode: STOPPING })], NOW_MS);
    assert.equal(stopped!.severity, 'low');
    assert.match(stopped!.evidence.verdict.why, /stopped in good order at 2026-11-23T10:14:00/);
  });

  it('are one finding for as long as they last, and another one the next time', () => {
    const idOf = (one: LastWord, nowMs = NOW_MS) => silences([one], nowMs)[0]!.finding_id;
    const first = word('a', minutesAgo(6));
    assert.equal(idOf(first), idOf(first, NOW_MS + 86_400_000));
    for (const other of [{ seq: 41n }, { probeEpoch: 8n }, { boot: 'b-2' }, { node: 'b' }]) {
      assert.notEqual(idOf(first), idOf({ ...first, ...other }), JSON.stringify(Object.keys(other)));
    }
  });

  it('of one node are one alert a day', () => {
    const at = (time: string, seq: bigint) => word('a', Date.parse(`2026-11-${time}Z`), { seq });
    const nextDay = Date.parse('2026-11-24T23:00:00Z');
    const alerts = ['23T01:00:00', '23T22:00:00', '24T01:00:00'].map(
      (time, index) => silences([at(time, BigInt(index))], nextDay)[0]!.group_id,
    );
    assert.deepEqual([alerts[0] === alerts[1], alerts[1] === alerts[2]], [true, false]);
  });

  it('of many at once are one alert that says so; of many that came one by one they are not', () => {
    const many = (gapMs: number) =>
      Array.from({ length: 2_000 }, (_, index) => word(`n${index}`, minutesAgo(6) - index * gapMs));
    assert.equal(groups(many(2)), 1);
    assert.match(silences(many(2), NOW_MS)[0]!.evidence.verdict.why, /So did 1999 other nodes within a minute/);
    assert.equal(groups(many(20_000)), 2_000);
  });

  it('are known to be of many by the first that is due', () => {
    const words = Array.from({ length: 50 }, (_, index) =>
      word(`n${index}`, NOW_MS - SILENT_AFTER_MS + index * 90 - 1),
    );
    const [first, ...others] = silences(words, NOW_MS);
    assert.equal(others.length, 0);
    assert.match(first!.evidence.verdict.why, /49 other nodes/);
    const later = silences(words, NOW_MS + 60_000);
    assert.deepEqual(new Set(later.map(({ group_id }) => group_id)), new Set([first!.group_id]));
  });
});
