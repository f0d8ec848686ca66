/** Steps of an exec as the kernel sends them, put to the image they led to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLateTable, createStepTable } from './exec-steps.ts';
import { evidenceFromIma } from './reading.ts';
import type { RecordBuffer } from './record-buffer.ts';

const EXEC = { pid: 7, start_ns: 5n << 40n, self_exec_id: 3 };
const [FIRST, NEXT, MEASURED] = [1, 2, 3];
const EXT4_MAGIC = 0xef53;
const NFS_MAGIC = 0x6969;

type Facts = {
  pid?: number;
  kind: number;
  ino?: bigint;
  path?: string;
  sha256?: string;
  writecount?: number;
  magic?: number;
};

/** struct step of bpf/lsm.bpf.c, in the middle of a larger buffer as in the ring. */
function record({
  pid = EXEC.pid,
  kind,
  ino = 1n,
  path = '',
  sha256 = '',
  writecount = -1,
  magic = EXT4_MAGIC,
}: Facts): DataView {
  const bytes = Buffer.alloc(16 + 112 + path.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset + 16, 112 + path.length);
  view.setBigUint64(0, EXEC.start_ns, true);
  view.setUint32(8, pid, true);
  view.setUint32(12, EXEC.self_exec_id, true);
  view.setUint32(16, kind, true);
  view.setUint32(20, path.length, true);
  view.setBigUint64(24 + 8, ino, true);
  view.setInt32(24 + 44, writecount, true);
  view.setUint32(24 + 48, magic, true);
  bytes.write(sha256, 16 + 80, 'latin1');
  bytes.write(path, 16 + 112, 'latin1');
  return view;
}

test('scripts keep their order, and a first step ends those of a failed exec', () => {
  const table = createStepTable();
  for (const facts of [
    { kind: FIRST, path: '/failed' },
    { kind: FIRST, path: '/outer\xff', ino: 2n },
    { kind: NEXT, path: '/inner', ino: 3n },
  ]) {
    assert.equal(table.take(record(facts)), true);
  }
  const steps = table.scripts(EXEC).map(({ path, state }) => [path, state.ino]);
  assert.deepEqual(steps, [
    ['/outer\xff', 2n],
    ['/inner', 3n],
  ]);
  assert.deepEqual(table.scripts({ ...EXEC, self_exec_id: 4 }), []);
});

test('of many more steps than anybody asks for the newest are there, in their order', () => {
  const [steps, most] = [20_000, 4_096];
  const waiting = Array.from({ length: steps }, (_, index) => record({ pid: index, kind: FIRST, path: `/${index}` }));
  waiting.push(record({ pid: steps - 1, kind: NEXT, path: '/next' }));
  const drain = (into: RecordBuffer) => {
    while (waiting.length > 0 && into.count < into.starts.length) {
      const { buffer, byteOffset, byteLength } = waiting.shift()!;
      if (into.usedBytes + byteLength + 8 > into.bytes.length) throw new Error('it is full and was not seen to be');
      into.bytes.set(new Uint8Array(buffer, byteOffset, byteLength), into.usedBytes);
      into.starts[into.count] = into.usedBytes;
      into.lengths[into.count++] = byteLength;
      into.usedBytes += Math.ceil(byteLength / 8) * 8;
    }
  };
  const table = createLateTable({ drain });
  table.drain();
  const pathsOf = (pid: number) => table.scripts({ ...EXEC, pid }).map(({ path }) => path);
  assert.deepEqual(pathsOf(steps - most), [`/${steps - most}`]);
  assert.deepEqual(pathsOf(steps - 1), [`/${steps - 1}`, '/next']);
  assert.deepEqual(pathsOf(0), []);
});

test('what is no step is refused', () => {
  const table = createStepTable();
  const cut = record({ kind: FIRST, path: '/long' });
  assert.equal(table.take(new DataView(cut.buffer, cut.byteOffset, 112)), false, 'its path is missing');
  assert.equal(table.take(new DataView(cut.buffer, cut.byteOffset, 20)), false);
  assert.equal(table.take(record({ kind: 9 })), false);
});

test("IMA's digest is exact where it is told of every change, and of this very state of the file only", () => {
  const sha256 = 'd'.repeat(32);
  const evidence = (facts: Partial<Facts>, executedIno = 1n) => {
    const table = createStepTable();
    table.take(record({ kind: MEASURED, sha256, ...facts }));
    const measured = table.measured(EXEC)!;
    return evidenceFromIma({ ...measured.state, ino: executedIno }, measured);
  };
  assert.deepEqual(evidence({}), { sha256, digest_source: 'ima', digest_strength: 'exact', digest_reason: '' });
  assert.equal(evidence({ magic: NFS_MAGIC })?.digest_strength, 'racy');
  assert.equal(evidence({ writecount: 0 })?.digest_strength, 'racy');
  assert.equal(evidence({}, 2n), undefined);
});
