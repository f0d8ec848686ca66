/** A probe in a process of its own, to be killed: a line of JSON for each exec and census row, and one when it is up. */
import { watchKernel } from './probe-kit.ts';

const [censusFolder] = process.argv.slice(2) as [string];
const watched = await watchKernel({ censusFolder });
const tell = (value: unknown) =>
  process.stdout.write(`${JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}` : part))}\n`);
let told = 0;
setInterval(() => {
  const rows = watched.rows();
  for (; told < rows.length; told++) {
    const { event, flagNames, cpu, cpu_seq, pid, start_ns, self_exec_id, ...row } = rows[told]!;
    if (event === 'exec' && !flagNames.includes('snapshot')) {
      tell({ event, cpu, seq: cpu_seq, image: `${pid}:${start_ns}:${self_exec_id}` });
    }
    if (event === 'census') tell({ event, cpu, id: row.census_id, takenOver: row.taken_over, reason: row.reason });
  }
}, 20);
tell({ event: 'up' });
// It ends when nobody listens any more.
process.stdin.on('end', () => process.exit()).resume();
