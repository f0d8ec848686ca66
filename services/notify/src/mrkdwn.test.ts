import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePrintable } from '@bintrail/schemas/printable.ts';
import fc from 'fast-check';
import { hostile } from './finding.fixture.ts';
import { clip, code, codeBlock, escapeMrkdwn, visible } from './mrkdwn.ts';

const decoded = (text: string) => text.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');

test('the three characters Slack parses become entities, and nothing else changes', () => {
  assert.equal(escapeMrkdwn('a<b>&amp;"é`'), 'a&lt;b&gt;&amp;amp;"é`');
});

test('what cannot be seen is shown as its bytes', () => {
  assert.equal(visible('a\u202eb\nc\u200b'), 'a\\xe2\\x80\\xaeb\\x0ac\\xe2\\x80\\x8b');
  assert.equal(visible(' ls '), '\\x20ls\\x20');
  assert.equal(visible('  '), '\\x20\\x20');
  assert.equal(visible('ls\u00a0'), 'ls\\xc2\\xa0');
  assert.equal(visible('`id`'), '\\x60id\\x60');
  assert.equal(visible('naïve name 😀'), 'naïve name 😀');
});

test('a visible text still stands for the same bytes', () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const wellFormed = text.toWellFormed();
      assert.deepEqual(Buffer.from(parsePrintable(visible(wellFormed))), Buffer.from(parsePrintable(wellFormed)));
    }),
  );
});

test('a clipped text fits, and holds no character that Slack would take for markup or a line end', () => {
  fc.assert(
    fc.property(hostile, fc.integer({ min: 50, max: 400 }), (text, maxChars) => {
      const clipped = clip(text, maxChars);
      assert.ok(clipped.length <= maxChars, `${clipped.length} > ${maxChars}`);
      assert.doesNotMatch(clipped, /[<>`\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      assert.doesNotMatch(clipped, /&(?!(amp|lt|gt);)/);
    }),
  );
});

test('a clipped text is either whole, or keeps both ends and says how much is missing', () => {
  fc.assert(
    fc.property(hostile, fc.integer({ min: 50, max: 400 }), (text, maxChars) => {
      const [head = '', removed, tail = ''] = decoded(clip(text, maxChars)).split(/ … \[(\d+) characters cut\] … /);
      if (removed === undefined) assert.equal(head, visible(text));
      else {
        assert.ok(visible(text).startsWith(head) && visible(text).endsWith(tail));
        assert.ok(Number(removed) > 0 && head.length > 0 && tail.length > 0);
        const escapes = [...visible(text).matchAll(/\\x[0-9a-f]{2}/g)];
        const cut = escapes.some(({ index }) => index < head.length && head.length < index + 4);
        assert.ok(!cut, 'an escape is cut');
      }
    }),
  );
});

test('a text of our own that looks like an escape is not cut in two', () => {
  assert.match(clip('\n'.repeat(100), 60), /^(\\x0a)+ … \[\d+ characters cut\] … (\\x0a)+$/);
});

test('spans and blocks are closed where they should be', () => {
  fc.assert(
    fc.property(hostile, (text) => {
      assert.match(code(text, 200), /^`[^`]+`$/);
      assert.match(codeBlock(text, 200), /^```\n[^`]+\n```$/);
      assert.ok(code(text, 200).length <= 200 && codeBlock(text, 200).length <= 200);
    }),
  );
  assert.equal(code('', 100), '_none_');
});
