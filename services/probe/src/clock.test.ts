import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openClock } from './clock.ts';

const BOOTTIME = 7;
const OFFSET_NS = 1_700_000_000_000_000_000n;

/** Clocks that go on by this much with each look at one. */
function clockOf(steps: readonly bigint[]) {
  let [nowNs, look] = [5_000_000_000n, 0];
  return openClock({
    clockGetres: () => 0,
    clockGettime: (clock: number, spec: BigInt64Array) => {
      nowNs += steps[look++ % steps.length]!;
      const ns = clock === BOOTTIME ? nowNs : nowNs + OFFSET_NS;
      [spec[0], spec[1]] = [ns / 1_000_000_000n, ns % 1_000_000_000n];
      return 0;
    },
  } as unknown as Parameters<typeof openClock>[0]);
}

test('clocks that were read far apart are read again', () => {
  const ms = 1_000_000n;
  assert.equal(clockOf([0n, 5n * ms, 0n, 0n, 0n, 0n]).bootOffsetNs(), OFFSET_NS);
  assert.equal(clockOf([0n, 5n * ms, 5n * ms, 0n, 7n, 0n]).bootOffsetNs(), OFFSET_NS + 7n);
  assert.equal(clockOf([0n, ms, 0n]).bootOffsetNs(), OFFSET_NS + ms, 'at last the best there is');
});
