import { findingSchema } from '@bintrail/schemas/finding.ts';

/** One line of the terminal for a finding; undefined for what is none (ingest puts that aside as a dead record). */
export function findingLine(value: Uint8Array): string | undefined {
  const parsed = findingSchema.safeParse(parseJson(value));
  if (!parsed.success) return undefined;
  const { rule, severity, workload, path, sha256, evidence, ts_ns, node } = parsed.data;
  const time = new Date(Number(BigInt(ts_ns) / 1_000_000n)).toISOString().slice(11, 23);
  if (rule === 'probe-silent') return `${time}  ${severity.padEnd(8)}  ${rule}  ${node}  (${evidence.verdict.why})`;
  const digest =
    sha256 === '' ? `no digest: ${evidence.digest.reason}` : `${sha256.slice(0, 16)}… ${evidence.digest.strength}`;
  return `${time}  ${severity.padEnd(8)}  ${rule}  ${path}  (${digest}; ${workload})`;
}

function parseJson(value: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(value).toString('utf8'));
  } catch {
    return undefined;
  }
}
