/**
 * `npm run census -- show` prints what was counted, CPU by CPU; `-- remove` ends the census of this boot, for an
 * uninstall. A probe that runs meanwhile goes on, but what is missed after it is unknown.
 */
import { optional, readConfig, text } from '@bintrail/runtime/config.ts';
import { CENSUS_FOLDER, removeCensus, showCensus } from './census.ts';
import { loadLibbpf } from './ffi.ts';

const USAGE = 'usage: npm run census -- show | remove';

const { folder = CENSUS_FOLDER } = readConfig(process.env, { folder: optional('BINTRAIL_CENSUS', text) });
const [command, ...others] = process.argv.slice(2);
if (others.length > 0 || (command !== 'show' && command !== 'remove')) {
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = 64;
} else if (command === 'remove') {
  process.stdout.write(
    removeCensus(folder) ? `no census in ${folder} any more\n` : `there was no census in ${folder}\n`,
  );
} else {
  const counts = showCensus(loadLibbpf(), folder);
  const lines = counts?.map(({ cpu, execs, exits }) => `cpu ${cpu}: ${execs} execs, ${exits} processes ended\n`);
  process.stdout.write(lines?.join('') ?? `no census in ${folder}\n`);
}
