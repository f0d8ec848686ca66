import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parsePrintable, printable } from './printable.ts';

const shown = (...bytes: number[]) => printable(Uint8Array.from(bytes));
const textBytes = (text: string) => new Uint8Array(Buffer.from(text));

describe('printable', () => {
  it('shows text as it is', () => {
    for (const text of ['', '/usr/bin/true', 'Größe €', '😀', '\ufeffBOM', 'a\\b']) {
      assert.equal(printable(textBytes(text)), text);
    }
  });

  it('shows control characters and what is not UTF-8 byte by byte', () => {
    assert.equal(shown(0x61, 0x0a, 0x00, 0x7f, 0x1b), 'a\\x0a\\x00\\x7f\\x1b');
    assert.equal(shown(0xff, 0xfe, 0x41), '\\xff\\xfeA');
    assert.equal(shown(0xc3), '\\xc3');
    assert.equal(shown(0xe2, 0x82), '\\xe2\\x82');
    assert.equal(shown(0xc0, 0xaf), '\\xc0\\xaf');
    assert.equal(shown(0xed, 0xa0, 0x80), '\\xed\\xa0\\x80');
    assert.equal(shown(0xf4, 0x90, 0x80, 0x80), '\\xf4\\x90\\x80\\x80');
    assert.equal(shown(0xe2, 0x41), '\\xe2A');
  });

  it('shows no character that controls a display', () => {
    assert.equal(printable(textBytes('\u009b31m')), '\\xc2\\x9b31m');
    assert.equal(printable(textBytes('a\u2028b\u2029')), 'a\\xe2\\x80\\xa8b\\xe2\\x80\\xa9');
    assert.equal(printable(textBytes('\u202egpj.exe')), '\\xe2\\x80\\xaegpj.exe');
    assert.equal(printable(textBytes('\u2066x\u2069')), '\\xe2\\x81\\xa6x\\xe2\\x81\\xa9');
  });

  it('reads back to the bytes it showed, but for a literal escape', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const latin1 = Buffer.from(bytes).toString('latin1');
        fc.pre(!/\\x[0-9a-f]{2}/.test(latin1));
        assert.deepEqual(new Uint8Array(parsePrintable(printable(bytes))), bytes);
      }),
      { numRuns: 2000 },
    );
    assert.equal(Buffer.from(parsePrintable('\\x41')).toString(), 'A');
    assert.equal(Buffer.from(parsePrintable('\\xZZ \\x4')).toString(), '\\xZZ \\x4');
  });

  it('shows nothing but visible text for any bytes, and such text as it is', () => {
    const forging = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const text = printable(bytes);
        assert.ok(text.isWellFormed());
        assert.doesNotMatch(text, new RegExp(forging, 'u'));
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const visible = text.replaceAll(forging, '');
        assert.equal(printable(textBytes(visible)), visible);
      }),
    );
  });
});
