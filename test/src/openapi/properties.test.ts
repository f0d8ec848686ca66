import assert from 'node:assert/strict';
import { it } from 'node:test';
import { askAnything } from './run-properties.ts';
import { installSchemathesis } from './schemathesis.ts';

const SEED = 1;
// Some twenty seconds where nothing else is busy; `npm run test:openapi` asks for longer.
const EFFORT = { examples: 3, seed: SEED };

it('answers whatever is asked as the OpenAPI document says, and never by a 5xx', async (t) => {
  const tool = await installSchemathesis();
  if ('whyNot' in tool) return t.skip(`the property-based run ${tool.whyNot}`);
  for (const { ok, output } of await askAnything(tool.command, EFFORT)) assert.ok(ok, output);
});
