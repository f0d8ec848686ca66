import { constants, zstdCompressSync } from 'node:zlib';
import { encodeBatch } from '/work/main/schemas/src/batch-encode.ts';
import { exec } from '/work/main/schemas/src/exec.ts';
import { finishedRows } from '/work/main/test/bench/host-observer.ts';
import { hostPrograms } from '/work/main/test/bench/sample-rows.ts';
const L1 = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const rows = await finishedRows(hostPrograms(200), 16384);
const header = { node: 'web-1.example.com', boot: '6f1c2d3e-0000-4000-8000-1234567890ab', probeEpoch: 1_768_435_200_000n, batchSeq: 5 };
console.log(rows[5000]);
for (const size of [1, 64, 1024]) {
  const enc = (def: any, at: number) => encodeBatch(def, header, rows.slice(at, at + size) as any);
  const avg = (def: any, opt: any = L1) => { let raw = 0, z = 0, n = 0; for (let at = 0; at + size <= rows.length && n < 64; at += Math.max(size, 200)) { const b = enc(def, at); raw += b.length; z += zstdCompressSync(b, opt).length; n++; } return [raw / n / size, z / n / size] as const; };
  const [raw, z] = avg(exec);
  console.log(`size ${size}: raw ${raw.toFixed(1)} zstd1 ${z.toFixed(1)} zstd3 ${avg(exec, { params: { [constants.ZSTD_c_compressionLevel]: 3 } })[1].toFixed(1)} zstd19 ${avg(exec, { params: { [constants.ZSTD_c_compressionLevel]: 19 } })[1].toFixed(1)}`);
  try { const dict = Buffer.concat([enc(exec, 9000), enc(exec, 9001), enc(exec, 9002)]); console.log('with dictionary', avg(exec, { ...L1, dictionary: dict })[1].toFixed(1)); } catch (e) { console.log(String(e)); }
  const out = exec.fields.map((f) => { const def = { ...exec, fields: exec.fields.filter((g) => g !== f) }; const [r2, z2] = avg(def); return [f.name, raw - r2, z - z2] as const; }).sort((a, b) => b[2] - a[2]);
  for (const [n, r, c] of out.slice(0, 16)) console.log('   ', n.padEnd(22), r.toFixed(2).padStart(7), c.toFixed(2).padStart(7));
}
process.exit(0);
