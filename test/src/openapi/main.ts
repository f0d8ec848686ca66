/** `npm run test:openapi [examples [seed]]`: the property-based run, for as long as it is given. */
import { randomInt } from 'node:crypto';
import { askAnything } from './run-properties.ts';
import { installSchemathesis } from './schemathesis.ts';

const [examples = '200', seed = String(randomInt(2 ** 31))] = process.argv.slice(2);
const tool = await installSchemathesis();
if ('whyNot' in tool) {
  console.error(tool.whyNot);
  process.exitCode = 78;
} else {
  for (const { ok, output } of await askAnything(tool.command, {
    examples: Number(examples),
    seed: Number(seed),
  })) {
    console.log(output);
    if (!ok) process.exitCode = 1;
  }
}
