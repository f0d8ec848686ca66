import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Field } from './field.ts';
import { layOut } from './layout.ts';

const field = (name: string, kind: Field['kind'], from: Field['from'] = 'kernel'): Field => ({
  name,
  kind,
  from,
  doc: '',
});

describe('layOut', () => {
  it('puts numbers at their alignment, lengths of texts behind, and pads the end', () => {
    const fields = [
      field('a', 'u64'),
      field('t', 'text'),
      field('b', 'u32'),
      field('c', 'u16'),
      field('argv', 'bytes'),
    ];
    assert.deepEqual(layOut(fields, 24), {
      numbers: [
        { name: 'a', kind: 'u64', offset: 24 },
        { name: 'b', kind: 'u32', offset: 32 },
        { name: 'c', kind: 'u16', offset: 36 },
      ],
      texts: [
        { name: 't', offset: 38 },
        { name: 'argv', offset: 40 },
      ],
      sizeBytes: 48,
    });
  });

  it('leaves out what the probe fills in', () => {
    const fields = [
      field('a', 'u32'),
      field('p', 'u64', 'probe'),
      field('sha256', 'digest', 'probe'),
      field('b', 'u32'),
    ];
    assert.deepEqual(
      layOut(fields, 0).numbers.map(({ name }) => name),
      ['a', 'b'],
    );
  });

  it('refuses an order that would need hidden padding', () => {
    assert.throws(() => layOut([field('a', 'u32'), field('b', 'u64')], 0), /b at offset 4/);
    assert.throws(() => layOut([field('a', 'u8'), field('b', 'u16')], 0), /b at offset 1/);
  });
});
