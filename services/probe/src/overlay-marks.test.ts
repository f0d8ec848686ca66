import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadLibc } from './ffi.ts';
import { missingCapabilities } from './host.ts';
import { testOverlayMarks } from './overlay-marks.ts';

const missing = missingCapabilities(readFileSync('/proc/self/status', 'utf8'));
const hasOverlays = /\toverlay$/m.test(readFileSync('/proc/filesystems', 'utf8'));
const skip = (missing.length > 0 && `needs ${missing.join(', ')}`) || (!hasOverlays && 'needs a kernel with overlays');

test('what a mark below an overlay sees is tried, and leaves nothing behind', { skip }, () => {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  const found = testOverlayMarks(loadLibc());
  assert.match(found?.words ?? '', /\(tried\)$/);
  // Known of the kernels this was built on: 6.1 does not see through, 6.18 does.
  const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8');
  if (release.startsWith('6.18.')) assert.equal(found?.own, false);
  if (release.startsWith('6.1.')) assert.equal(found?.own, true);
  assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), mounts);
});
