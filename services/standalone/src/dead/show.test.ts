import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import {
  array,
  byteString,
  head,
  map,
  negative,
  tagged,
  textString,
  uint,
} from '@bintrail/schemas/cbor-build.fixture.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import fc from 'fast-check';
import { dead, newFolder, openBusIn, putAside, run } from './dead.fixture.ts';
import { diagnostic } from './diagnostic.ts';

describe('diagnostic', () => {
  it('writes every kind of item', () => {
    const simple = Buffer.of(0xf5, 0xf4, 0xf6, 0xf7, 0xf0);
    const items = array([uint(1), negative(-1), textString('a"b'), ...Array.from(simple, (byte) => Buffer.of(byte))]);
    assert.equal(diagnostic(items), '[1, -1, "a\\"b", true, false, null, undefined, simple(16)]');
    const nested = map([['a', map([['b', uint(2n ** 63n)]])]]);
    assert.equal(diagnostic(nested), '{\n  "a": {\n    "b": 9223372036854775808\n  }\n}');
    assert.equal(diagnostic(Buffer.of(0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0)), '1.5');
    assert.equal(diagnostic(Buffer.of(0xfa, 0x3f, 0xc0, 0, 0)), '1.5');
    assert.equal(diagnostic(Buffer.of(0xf9, 0x3c, 0x00)), '1');
    assert.equal(
      diagnostic(array([byteString(Buffer.from('/bin/sh')), byteString(Buffer.of(0xff, 1))])),
      "['/bin/sh', h'ff01']",
    );
    assert.equal(diagnostic(tagged(70, byteString(Buffer.from('abcd')))), "70(h'61626364')");
    assert.equal(diagnostic(byteString(Buffer.alloc(0))), "h''");
    assert.equal(diagnostic(tagged(64, byteString(Buffer.alloc(40)))), `64(h'${'00'.repeat(32)}…' (40 bytes))`);
  });

  it('leaves out what nobody would read, and goes on behind it', () => {
    const many = array(Array.from({ length: 100 }, (_, index) => uint(index)));
    assert.match(diagnostic(array([many, uint(7)])), /15, … 84 more\], 7\]$/);
    const wide = map(Array.from({ length: 300 }, (_, index) => [`k${index}`, uint(1)] as const));
    assert.match(diagnostic(wide), /"k199": 1,\n {2}… 100 more\n\}$/);
    assert.ok(diagnostic(textString('x'.repeat(5_000))).length < 300);
  });

  it('goes as far as the bytes do, and says where they end', () => {
    assert.match(
      diagnostic(
        map([
          ['a', uint(1)],
          ['b', head(2, 2n ** 63n)],
        ]),
      ),
      /"a": 1,\n {2}"b": \n… no further: \d+ bytes wanted/,
    );
    assert.match(diagnostic(Buffer.concat([uint(1), uint(2)])), /^1\n… and 1 bytes that belong to nothing$/);
    assert.match(diagnostic(Buffer.alloc(0)), /no further/);
    assert.match(diagnostic(Buffer.of(0x9f, 0x01, 0xff)), /no further: length code 31/);
    assert.match(diagnostic(Buffer.alloc(100_000, 0x81)), /^\[+\n… no further: nested deeper than 16/);
    assert.match(diagnostic(head(4, 2n ** 64n - 1n)), /no further/);
  });

  it('takes any bytes, and lets none of them reach the terminal', () => {
    const sane = (text: string) => !/[\p{Cc}\p{Bidi_Control}]/u.test(text.replaceAll('\n', ''));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => sane(diagnostic(bytes))),
      { numRuns: 5_000 },
    );
    const hostile = '\u001b]0;owned\u0007\u009b2J\u202e';
    assert.ok(sane(diagnostic(map([[hostile, byteString(Buffer.from(hostile))]]))));
  });
});

describe('show', () => {
  const ID = 'bintrail.events:0:5';
  const header = { node: 'web-1', boot: 'b', probeEpoch: 1n, batchSeq: 12 };
  const good = encodeBatch(exit, header, [blankRow(exit), blankRow(exit)]);

  it('tells everything about a record, what it would be today included', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(5, { bytes: good, reason: 'unknown_event' }), dead(6, { bytes: good.subarray(0, -6) }));
    await run(bus, `replay ${ID}`, 0);
    const { out } = await run(bus, `show ${ID}`);
    assert.match(out, /^id {8}bintrail\.events:0:5\nkey {7}node-5\nbytes {5}\d+, SHA-256 [\da-f]{64}\n/);
    assert.match(out, /refused {3}\d{4}-.*Z by ingest: unknown_event\nreplayed {2}1970-01-01T00:00:00\.000Z\n/);
    assert.match(out, /today {5}readable: 2 exit rows of web-1, message 12\n/);
    assert.match(Buffer.from(out, 'latin1').toString(), /As CBOR:\n\{\n {2}0 \/ v \/: 2,\n {2}1 \/ type \/: "exit",/);
    assert.match(out, /As bytes:\n00000000 {2}[\da-f]{2} /);
    const { out: cut } = await run(bus, 'show bintrail.events:0:6');
    assert.match(cut, /today {5}refused: truncated \(/);
    assert.match(cut, /no further/);
  });

  it('writes the very bytes with --raw', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    await putAside(bus, dead(5, { bytes: good }));
    const { out } = await run(bus, `show ${ID} --raw`);
    assert.deepEqual(Buffer.from(out, 'latin1'), Buffer.from(good));
  });

  it('shows JSON as JSON, and controls no terminal', async (t) => {
    const bus = openBusIn(t, newFolder(t));
    const bytes = Buffer.from(JSON.stringify({ rule: 'x\u009b2J\u202e' }));
    const facts = { topic: TOPICS.findings, key: '\u009b2J', reason: '\u001b[31m', stage: 'a\nb', bytes };
    await putAside(bus, dead(5, facts));
    for (const line of ['show bintrail.findings:0:5', 'list', 'list --json']) {
      const { out } = await run(bus, line);
      assert.doesNotMatch(Buffer.from(out, 'latin1').toString().replaceAll('\n', ''), /[\p{Cc}\p{Bidi_Control}]/u);
    }
    assert.match((await run(bus, 'show bintrail.findings:0:5')).out, /As JSON:\n\{\n {2}"rule": "x/);
  });
});
