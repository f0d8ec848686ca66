import { constants, zstdCompressSync } from 'node:zlib';
import { readBootId } from '@bintrail/probe/host.ts';
import { startProbe } from '@bintrail/probe/probe.ts';
import { redactArguments } from '@bintrail/probe/redact.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { rowsOf } from '@bintrail/schemas/event-rows.fixture.ts';
import { exec } from '@bintrail/schemas/exec.ts';
const rows: any[] = [];
const probe = await startProbe({ bpfObjectPath: '/work/main/bpf/build/bintrail.bpf.o', node: 'n', boot: readBootId(), hashThreads: 2, maxFileBytes: 2 ** 30, userName: () => 'root', redact: redactArguments, log: createLog({ level: 'warn', name: 'x' }),
  publish: async ({ value }: any) => { const d = decodeBatch(value); if (d.ok && d.batch.type === 'exec') rows.push(...rowsOf(d.batch)); } } as any);
await new Promise((r) => setTimeout(r, Number(process.argv[2] ?? 60) * 1000));
await probe.close();
const live = rows.filter((r) => !(r.flags & 64));
console.log('live', live.length, 'programs', new Set(live.map((r) => r.path)).size, 'workloads', new Set(live.map((r) => r.workload)).size);
const L1 = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const header = { node: 'web-1.example.com', boot: '6f1c2d3e-0000-4000-8000-1234567890ab', probeEpoch: 1_768_435_200_000n, batchSeq: 5 };
for (const size of [1, 8, 64, 1024]) {
  const avg = (def: any, opt: any = L1) => { let raw = 0, z = 0, n = 0, distinct = 0; for (let at = 0; at + size <= live.length && n < 64; at += size) { const s = live.slice(at, at + size); distinct += new Set(s.map((r) => r.path)).size; const b = encodeBatch(def, header, s); raw += b.length; z += zstdCompressSync(b, opt).length; n++; } return [raw / n / size, z / n / size, distinct / n, n] as const; };
  const [raw, z, d, n] = avg(exec);
  console.log(`size ${size} n ${n}: raw ${raw.toFixed(1)} zstd1 ${z.toFixed(1)} distinct paths ${d}`);
  if (n) { const dict = encodeBatch(exec, header, live.slice(0, 3)); console.log('  with dictionary', avg(exec, { ...L1, dictionary: dict })[1].toFixed(1)); }
  const out = exec.fields.map((f) => { const def = { ...exec, fields: exec.fields.filter((g) => g !== f) }; const [r2, z2] = avg(def); return [f.name, raw - r2, z - z2] as const; }).sort((a, b) => b[2] - a[2]);
  if (size === 64 || size === 1) for (const [nn, r, c] of out.slice(0, 14)) console.log('   ', nn.padEnd(22), r.toFixed(2).padStart(7), c.toFixed(2).padStart(7));
}
console.log(live[500]);
process.exit(0);
