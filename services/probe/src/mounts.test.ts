import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLocalMagic, isRemoteMagic, mountsToMark, parseMountInfo } from './mounts.ts';

const MOUNTINFO = String.raw`22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw,nosuid - proc proc rw
24 22 0:40 / /tmp/with\040space rw - tmpfs tmpfs rw
25 22 8:1 /var /srv/bind rw - ext4 /dev/sda1 rw
26 22 0:50 / /mnt/nfs rw - nfs4 server:/x rw
27 22 0:51 / /mnt/fuse rw - fuse.sshfs host: rw
28 22 0:52 / /var/lib/containers/overlay/merged rw - overlay overlay rw,lowerdir=/a,upperdir=/b
broken line
`;

test('marks each local superblock once, with octal escapes undone', () => {
  const marked = mountsToMark(parseMountInfo(MOUNTINFO), false);
  assert.deepEqual(
    marked.map(({ mountPoint }) => mountPoint),
    ['/', '/tmp/with space'],
  );
});

test('marks overlays only where marks on the real filesystem do not see through them', () => {
  const marked = mountsToMark(parseMountInfo(MOUNTINFO), true);
  assert.ok(marked.some(({ type }) => type === 'overlay'));
});

test('filesystems whose server may never answer are remote and not local', () => {
  for (const magic of [0x65735546, 0x6969, 0x01021997, 0xff534d42, 0xfe534d42]) {
    assert.ok(isRemoteMagic(magic) && !isLocalMagic(magic));
  }
  assert.ok(isLocalMagic(0xef53) && !isRemoteMagic(0xef53));
});
