import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from '@hono/zod-openapi';
import fc from 'fast-check';
import { openPage } from './page.ts';
import { Problem } from './problem.ts';

const KEY = z.tuple([z.int(), z.string()]);
const NOW_MS = Date.parse('2026-03-01T12:00:00Z');

const refused = (error: unknown) => error instanceof Problem && error.errors[0]?.at === 'cursor';

describe('openPage', () => {
  it('starts at the beginning with a hundred items', () => {
    const page = openPage('things', {}, KEY, NOW_MS);
    assert.equal(page.limit, 100);
    assert.equal(page.after, undefined);
  });

  it('goes on after any key, in the window of the first page', () => {
    fc.assert(
      fc.property(fc.integer(), fc.string({ unit: 'grapheme' }), (number, text) => {
        const query = { since: 'now-1h' };
        const cursor = openPage('things', query, KEY, NOW_MS).next([number, text]);
        const page = openPage('things', { ...query, cursor, limit: 7 }, KEY, NOW_MS + 3_600_000);
        assert.deepEqual(page.after, [number, text]);
        assert.equal(page.limit, 7);
        assert.equal(page.window.sinceNs, BigInt(NOW_MS - 3_600_000) * 1_000_000n);
      }),
    );
  });

  it('refuses a cursor of another list, of other filters, or of an older shape', () => {
    const cursor = openPage('things', { since: 'now-1h' }, KEY, NOW_MS).next([1, 'a']);
    assert.throws(() => openPage('others', { since: 'now-1h', cursor }, KEY, NOW_MS), refused);
    assert.throws(() => openPage('things', { since: 'now-2h', cursor }, KEY, NOW_MS), refused);
    assert.throws(() => openPage('things', { cursor }, KEY, NOW_MS), refused);
    assert.throws(() => openPage('things', { since: 'now-1h', cursor }, z.string(), NOW_MS), refused);
  });

  it('refuses a cursor with any byte changed, and any other text', () => {
    const cursor = openPage('things', {}, KEY, NOW_MS).next([12_345, 'abc']);
    const bytes = Buffer.from(cursor, 'base64url');
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = Buffer.from(bytes);
        changed[at]! ^= mask;
        const query = { cursor: changed.toString('base64url') };
        assert.throws(() => openPage('things', query, KEY, NOW_MS), refused);
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.throws(() => openPage('things', { cursor: text }, KEY, NOW_MS), refused);
      }),
    );
  });
});
