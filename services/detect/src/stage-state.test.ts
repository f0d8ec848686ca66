import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import {
  action,
  approval,
  decoded,
  execId,
  execMessage,
  execRow,
  loadMessage,
  loadRow,
  PENDING,
  run,
  T0_MS,
  T0_NS,
  view,
} from './events.kit.ts';
import { createDetectState, detect } from './stage.ts';

const SNAPSHOT = flagBit('snapshot');
const NONE = view();

describe('ancestors', () => {
  const chain = [
    execRow(1, 0, { ...PENDING, path: '/sbin/init' }),
    execRow(2, 1, { ...PENDING, path: '/usr/sbin/sshd' }),
    execRow(3, 2, { ...PENDING, path: '/bin/bash', argv: '-bash\0' }),
  ];
  const program = execRow(4, 3);
  const names = (found: ReturnType<typeof run>) => found[0]!.evidence.exec.ancestors.map(({ path }) => path);
  const all = ['/bin/bash', '/usr/sbin/sshd', '/sbin/init'];

  it('are found in the same plan, in whichever order the messages come', () => {
    assert.deepEqual(names(run(createDetectState(), [execMessage(program), execMessage(...chain)])), all);
  });

  it('are found in earlier plans', () => {
    const state = createDetectState();
    for (const row of chain) run(state, [execMessage(row)]);
    const found = run(state, [execMessage(program)]);
    assert.deepEqual(names(found), all);
    assert.deepEqual(found[0]!.evidence.exec.ancestors[0]!.argv, ['-bash']);
  });

  it('end where detect has not seen further, until the probe tells what is running', () => {
    const state = createDetectState();
    assert.deepEqual(names(run(state, [execMessage(chain[2]!, program)])), ['/bin/bash']);
    run(state, [execMessage(...chain.map((row) => ({ ...row, flags: SNAPSHOT })))]);
    assert.deepEqual(names(run(state, [execMessage({ ...program, workload: 'host' })])), all);
  });

  it('of a script are those of its interpreter', () => {
    const interpreter = execRow(4, 3, { ...PENDING, path: '/usr/bin/dash', argv: 'sh\0/opt/a.sh\0' });
    const found = run(createDetectState(), [loadMessage(loadRow(4)), execMessage(...chain, interpreter)]);
    assert.deepEqual(names(found), all);
    const { exec_id, argv, parent_path } = found[0]!.evidence.exec;
    assert.deepEqual([exec_id, argv, parent_path], [execId(4), ['sh', '/opt/a.sh'], '/usr/bin/dash']);
  });
});

describe('what was published already', () => {
  const at = (offsetMs: number, pid = 7) => execMessage(execRow(pid, 1, { ts: T0_NS + BigInt(offsetMs) * 1_000_000n }));

  it('is not published again, nor does a plan that is tried again lose anything', () => {
    const state = createDetectState();
    const batches = decoded(at(0));
    assert.deepEqual(detect(batches, NONE, state), detect(batches, NONE, state));
    const [finding] = run(state, [at(0)]);
    assert.deepEqual(run(state, [at(1), at(2)]), []);
    assert.deepEqual(run(state, [at(3)], view(action(finding!.finding_id, 'acknowledge', 0, T0_MS + 2))), []);
  });

  it('is published again once for what happens after it was resolved', () => {
    const state = createDetectState();
    const [{ finding_id: id } = { finding_id: '' }] = run(state, [at(0)]);
    const resolved = view(action(id, 'resolve', 1, T0_MS + 100));
    assert.deepEqual(run(state, [at(100)], resolved), [], 'an exec from before it was resolved that comes late');
    const [again] = run(state, [at(99), at(101), at(100)], resolved);
    assert.deepEqual([again!.finding_id, again!.ts_ns], [id, (T0_NS + 101_000_000n).toString()]);
    assert.deepEqual(run(state, [at(102)], resolved), []);
    assert.equal(run(state, [at(300)], view(action(id, 'resolve', 2, T0_MS + 200))).length, 1);
  });

  it('stays quiet after a restart about what was resolved, and tells an acknowledged one at most once more', () => {
    const [{ finding_id: id } = { finding_id: '' }] = run(createDetectState(), [at(0)]);
    assert.deepEqual(run(createDetectState(), [at(50)], view(action(id, 'resolve', 1, T0_MS + 100))), []);
    const state = createDetectState();
    const acknowledged = view(action(id, 'acknowledge', 1, T0_MS + 100));
    assert.equal(run(state, [at(150)], acknowledged).length, 1);
    assert.deepEqual(run(state, [at(160)], acknowledged), []);
  });

  it('is left alone when it was approved, also after it was resolved', () => {
    const state = createDetectState();
    const [{ finding_id: id } = { finding_id: '' }] = run(state, [at(0)]);
    const policy = view(approval({}, 5), action(id, 'resolve', 1, T0_MS + 100));
    assert.deepEqual(run(state, [at(200)], policy), []);
  });
});
