import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { EVENTS } from '../events.ts';
import { generatedFiles } from './files.ts';

const STALE = 'is stale: run `npm run generate`';

describe('generated files', () => {
  for (const { path, content } of generatedFiles()) {
    it(`${path.split('/').slice(-2).join('/')} is what the definitions say`, () => {
      assert.ok(Buffer.from(content as string).equals(readFileSync(path)), `${path} ${STALE}`);
    });
  }

  it('are there for every event, and no golden message is left of another', () => {
    const golden = readdirSync(new URL('../../golden/', import.meta.url))
      .filter((name) => name !== 'README.md' && name !== 'v1')
      .sort();
    const expected = Object.keys(EVENTS).flatMap((name) => [`${name}.cbor`, `${name}.json`]);
    assert.deepEqual(golden, expected.sort());
  });

  it('know every kernel event in C, and every event in the wire format', () => {
    const text = (name: string) => String(generatedFiles().find(({ path }) => path.endsWith(name))?.content);
    for (const { name, id, fields } of Object.values(EVENTS)) {
      assert.equal(text('events.h').includes(`struct bt_${name} {`), id > 0);
      assert.ok(text('bintrail.cddl').includes(`\n${name} = {`));
      for (const field of fields)
        assert.match(text('bintrail.cddl'), new RegExp(`^  \\? \\d+ => [a-z0-9]+-column, ; ${field.name}: `, 'm'));
    }
  });
});
