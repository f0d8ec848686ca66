/** Opens the census of one folder after the other, each at a moment agreed with others; prints a line with its id. */
import { join } from 'node:path';
import { isCounting, openCensus } from '@bintrail/probe/census.ts';
import { loadLibbpf, loadLibc } from '@bintrail/probe/ffi.ts';
import { CENSUS_OBJECT } from './probe-kit.ts';

const [parent, startMs, times] = process.argv.slice(2) as [string, string, string];
const [libbpf, libc] = [loadLibbpf(), loadLibc()];
for (let time = 0; time < Number(times); time++) {
  while (Date.now() < Number(startMs) + time * 100);
  const census = openCensus(libbpf, libc, CENSUS_OBJECT, join(parent, `race-${time}`));
  process.stdout.write(`${isCounting(census) ? census.id : census.words}\n`);
}
