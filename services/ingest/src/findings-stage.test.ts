import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { batchesColumns } from './batches-table.ts';
import { findingColumns, storeFindings } from './findings-stage.ts';
import { openTestStore, planOf, type TestStore } from './store.fixture.ts';

const FINDING: Finding = {
  finding_id: 'f'.repeat(64),
  group_id: '0a'.repeat(32),
  rule: 'unapproved-binary',
  rule_version: 1,
  severity: 'high',
  workload: 'systemd/x.service',
  subject: 'sha256:…',
  sha256: 'ab'.repeat(32),
  path: '/opt/ü\\xff',
  role: 'exec',
  node: 'node-1',
  ts_ns: '9223372036854775807',
  policy_revision: 3,
  evidence: {
    verdict: { value: 'unapproved', why: 'nothing explains it' },
    digest: { source: 'held', strength: 'exact', reason: '' },
    package: '',
    package_version: '',
    package_match: '',
    image: '',
    flags: ['memfd'],
    exec: {
      exec_id: 'b:1:2:3',
      parent_exec_id: 'b:1:1:1',
      pid: 1,
      ppid: 1,
      uid: 0,
      argv: ['a', ''],
      cwd: '/',
      parent_path: '/bin/sh',
      ancestors: [{ exec_id: 'b:1:1:1', pid: 1, path: '/bin/sh', argv: ['sh'] }],
    },
  },
};

const message = (json: unknown) => Buffer.from(JSON.stringify(json));

const SHOWN = `SELECT lower(hex(finding_id)) AS finding_id, lower(hex(group_id)) AS group_id, rule, rule_version, severity,
  workload, subject, lower(hex(sha256)) AS sha256, path, role, node, toString(toUnixTimestamp64Nano(ts)) AS ts_ns,
  toInt32(policy_revision) AS policy_revision, evidence
FROM finding_evidence ORDER BY finding_id`;

describe('storeFindings', () => {
  let test: TestStore;
  let plans = 0;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());
  beforeEach(() => test.store.command('TRUNCATE TABLE finding_evidence'));

  const planWith = (...values: Uint8Array[]) => {
    plans += 1;
    return planOf(values, { topic: 'bintrail.findings', group: 'ingest-findings', busId: `bus ${plans}` });
  };
  const stored = async () => {
    const rows = await test.store.query<{ evidence: string }>(SHOWN);
    return rows.map((row) => ({ ...row, evidence: JSON.parse(row.evidence) }));
  };

  it('stores findings as they were published, once however often the plan runs', async () => {
    const other = { ...FINDING, finding_id: 'e'.repeat(64), sha256: '', ts_ns: '0', rule: 'hash-missing' };
    const plan = planWith(message(FINDING), message(other));
    for (let run = 0; run < 3; run++) {
      assert.deepEqual(await storeFindings(test.store, plan), { rows: 2, dead: [] });
    }
    assert.deepEqual(await stored(), [{ ...other, sha256: '00'.repeat(32) }, FINDING]);
    const times = await test.store.query(
      'SELECT DISTINCT toUnixTimestamp64Milli(ingested_at) AS at FROM finding_evidence',
    );
    assert.deepEqual(times, [{ at: `${plan.atMs}` }]);
  });

  it('stores the same finding of a later plan again', async () => {
    await storeFindings(test.store, planWith(message(FINDING)));
    await storeFindings(test.store, planWith(message(FINDING)));
    assert.equal((await stored()).length, 2);
  });

  it('puts aside what is no finding, and stores the rest', async () => {
    const wrong = [
      { finding_id: 'F'.repeat(64) },
      { group_id: '' },
      { rule: 'no-such-rule' },
      { rule_version: -1 },
      { sha256: 'ab' },
      { ts_ns: '9223372036854775808' },
      { ts_ns: 'now' },
      { ts_ns: '-1' },
      { policy_revision: 1.5 },
      { evidence: undefined },
    ].map((facts) => message({ ...FINDING, ...facts }));
    const values = [
      ...wrong,
      message(null),
      message(FINDING),
      Buffer.from('{'),
      Buffer.from([0xff]),
      new Uint8Array(0),
    ];
    const { rows, dead } = await storeFindings(test.store, planWith(...values));
    assert.equal(rows, 1);
    assert.deepEqual(
      dead.map(({ record, reason }) => `${record.offset} ${reason}`),
      [
        ...[...wrong.keys(), 10].map((offset) => `${offset} not_a_finding`),
        ...[12, 13, 14].map((offset) => `${offset} not_json`),
      ],
    );
    assert.deepEqual(await stored(), [FINDING]);
  });

  it('makes no insert of a plan without findings', async () => {
    await storeFindings(test.store, planWith(Buffer.from('x')));
    assert.deepEqual(await stored(), []);
  });

  it('names every column of the table in its order, as the rows of batches do', async () => {
    const plan = planWith();
    const written = { batches: batchesColumns(plan), finding_evidence: findingColumns(plan) };
    for (const [table, columns] of Object.entries(written)) {
      const sql = 'SELECT name, type FROM system.columns WHERE table = {table:String} ORDER BY position';
      assert.deepEqual(
        columns.map(({ name, type }) => ({ name, type })),
        await test.store.query(sql, { table }),
      );
    }
  });
});
