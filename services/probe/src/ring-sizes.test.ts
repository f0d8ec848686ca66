import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ringSizes } from './ring-sizes.ts';

const MIB = 1024 * 1024;
const CASES: [processors: number, execMib: number, codeMib: number][] = [
  [1, 16, 4],
  [2, 32, 8],
  [3, 32, 8],
  [128, 32, 8],
];

for (const [processors, execMib, codeMib] of CASES) {
  test(`rings of ${execMib} and ${codeMib} MiB for ${processors} processors`, () => {
    assert.deepEqual(ringSizes(processors), { exec_ring: execMib * MIB, code_ring: codeMib * MIB });
  });
}
