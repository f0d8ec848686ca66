import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { nsFromSql, parseTime, rfc3339, rfc3339FromNs, sqlTime, TIME_MAX_NS, windowOf } from './time.ts';

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const ns = (text: string) => BigInt(Date.parse(text)) * 1_000_000n;

describe('parseTime', () => {
  it('reads times before now', () => {
    assert.equal(parseTime('now', NOW_MS), ns('2026-03-01T12:00:00Z'));
    assert.equal(parseTime('now-90s', NOW_MS), ns('2026-03-01T11:58:30Z'));
    assert.equal(parseTime('now-15m', NOW_MS), ns('2026-03-01T11:45:00Z'));
    assert.equal(parseTime('now-24h', NOW_MS), ns('2026-02-28T12:00:00Z'));
    assert.equal(parseTime('now-7d', NOW_MS), ns('2026-02-22T12:00:00Z'));
  });

  it('reads RFC 3339 with an offset and up to nanoseconds', () => {
    assert.equal(parseTime('2026-01-31T08:00:00.000000007Z', 0), ns('2026-01-31T08:00:00Z') + 7n);
    assert.equal(parseTime('2026-01-31t08:00:00.5+02:00', 0), ns('2026-01-31T06:00:00.5Z'));
    assert.equal(parseTime('2024-02-29T00:00:00Z', 0), ns('2024-02-29T00:00:00Z'));
  });

  it('moves times that no event can have to the ends', () => {
    assert.equal(parseTime('0001-01-01T00:00:00Z', 0), 0n);
    assert.equal(parseTime('9999-12-31T23:59:59Z', 0), TIME_MAX_NS);
    assert.equal(parseTime('now-999999d', NOW_MS), 0n);
  });

  it('refuses everything else', () => {
    const texts = [
      '',
      'now-',
      'now-1y',
      'NOW',
      'now - 1h',
      '2026-02-30T00:00:00Z',
      '2026-01-01',
      '2026-01-01T25:00:00Z',
    ];
    for (const text of [
      ...texts,
      '2026-01-01T00:00:00',
      '2026-01-01 00:00:00Z',
      '1769860800',
      '2026-01-01T00:00:00.1234567890Z',
    ]) {
      assert.equal(parseTime(text, NOW_MS), undefined, text);
    }
  });
});

describe('the ways a time is written', () => {
  it('lead back to the same nanosecond', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: TIME_MAX_NS }), (time) => {
        assert.equal(nsFromSql(sqlTime(time)), time);
        assert.equal(parseTime(rfc3339FromNs(time), 0), time);
      }),
    );
  });

  it('shows at least milliseconds', () => {
    assert.equal(rfc3339('2026-01-31 08:00:00'), '2026-01-31T08:00:00.000Z');
    assert.equal(rfc3339('2026-01-31 08:00:00.123'), '2026-01-31T08:00:00.123Z');
    assert.equal(rfc3339('2026-01-31 08:00:00.000000006'), '2026-01-31T08:00:00.000000006Z');
  });
});

describe('windowOf', () => {
  it('is open on both sides unless asked', () => {
    assert.deepEqual(windowOf({}, NOW_MS), { sinceNs: 0n, untilNs: TIME_MAX_NS });
    assert.deepEqual(windowOf({ until: 'now' }, NOW_MS, 'now-24h'), {
      sinceNs: ns('2026-02-28T12:00:00Z'),
      untilNs: ns('2026-03-01T12:00:00Z'),
    });
  });
});
