import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatExecId, parseExecId } from './exec-id.ts';

const execId = fc.record(
  {
    boot: fc.uuid(),
    pid: fc.nat({ max: 0xffff_ffff }),
    startNs: fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }),
    selfExecId: fc.nat({ max: 0xffff_ffff }),
  },
  { noNullPrototype: true },
);

describe('an exec id', () => {
  it('reads back as it was written', () => {
    fc.assert(fc.property(execId, (id) => assert.deepEqual(parseExecId(formatExecId(id)), id)));
  });

  it('is none when any part is not what it names', () => {
    const boot = '5f0c2b8e-6a55-4a09-9a0e-3f3f0e7c1a11';
    assert.notEqual(parseExecId(`${boot}:1:2:3`), undefined);
    const wrong = [
      '',
      boot,
      `${boot}:1:2`,
      `${boot}:1:2:3:4`,
      `${boot}:-1:2:3`,
      `${boot}:1:2:x`,
      `:1:2:3`,
      `BOOT:1:2:3`,
    ];
    const beyond = [`${boot}:4294967296:2:3`, `${boot}:1:2:4294967296`, `${boot}:1:99999999999999999999:3`];
    const padded = [` ${boot}:1:2:3`, `${boot}:1:2:3\n`, `${boot}:1:2: 3`];
    for (const text of [...wrong, ...beyond, ...padded]) assert.equal(parseExecId(text), undefined, text);
  });

  it('is none for random text', () => {
    fc.assert(fc.property(fc.string(), (text) => assert.equal(parseExecId(text), undefined)));
  });
});
