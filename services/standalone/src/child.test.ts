import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ChildEnded, startChild } from './child.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'child-'));
});
after(() => rmSync(folder, { recursive: true }));

async function endOf(source: string): Promise<ChildEnded> {
  const main = join(folder, 'main.mjs');
  writeFileSync(main, source);
  return await startChild('the part', main, process.env).done.then(
    () => assert.fail('it was not stopped'),
    (error) => error,
  );
}

describe('a part that ends without being asked to', () => {
  it('is told apart: one that gave up has said why, one that was killed has not', async () => {
    const gaveUp = await endOf('process.exit(78)');
    assert.deepEqual(
      [gaveUp.message, gaveUp.exitCode, gaveUp.hasSaidWhy],
      ['the part ended with exit code 78', 78, true],
    );
    const killed = await endOf("process.kill(process.pid, 'SIGKILL')");
    assert.deepEqual([killed.message, killed.exitCode, killed.hasSaidWhy], ['the part was killed (SIGKILL)', 1, false]);
  });
});
