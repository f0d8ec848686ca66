/**
 * Runs inside the virtual machine: all files named, with either family of hooks, in this one process, as starting Node
 * takes seconds there. Each is a suite, so that its hooks are its own; under another query it is another module.
 */
import { before, describe } from 'node:test';
import { pathToFileURL } from 'node:url';

/** These choose the family themselves, or are the same in both: the best there is stands for them. */
const ONCE = /\/(?:alive|cgroups|descriptors|hooks|known-programs|limits|loads|overlay|scripts|verified)\.test\.ts$/;
const files = process.argv.slice(2);
// Of descriptors.test.ts: a fifth of what it does elsewhere, as every instruction is translated here.
process.env.BINTRAIL_COPIES = '40';

function suite(file: string, query: string): void {
  describe(file, { concurrency: 1 }, async () => {
    await import(`${pathToFileURL(file)}${query}`);
  });
}

for (const file of files.filter((name) => ONCE.test(name))) suite(file, '');
for (const family of ['tracepoint', 'lsm']) {
  describe(`hooks: ${family}`, { concurrency: 1 }, () => {
    before(() => {
      process.env.BINTRAIL_HOOKS = family;
    });
    for (const file of files.filter((name) => !ONCE.test(name))) suite(file, `?hooks=${family}`);
  });
}
