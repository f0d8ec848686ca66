import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { flagBit, flagNames, SHOWN_FLAGS } from './flags.ts';

it('flags have one bit each, and their names come back in the order of the bits', () => {
  fc.assert(
    fc.property(fc.subarray([...SHOWN_FLAGS]), (flags) => {
      const bits = flags.reduce((sum, flag) => sum + flagBit(flag), 0);
      assert.deepEqual(flagNames(bits), flags);
    }),
  );
});

it('bits without a name are left out, and the highest bit is a number like the others', () => {
  assert.deepEqual(flagNames(0xffff_ffff), [...SHOWN_FLAGS]);
  assert.deepEqual(flagNames(0x8000_0000 + flagBit('memfd')), ['memfd']);
});

it('the bits of the wire format stay where they are', () => {
  const first = ['memfd', 'unlinked', 'upper_layer', 'setuid', 'truncated_argv', 'redacted_argv', 'snapshot'];
  assert.deepEqual(SHOWN_FLAGS.slice(0, 7), first);
});
