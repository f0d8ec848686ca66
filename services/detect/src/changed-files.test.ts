import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FILE_ACTIONS } from '@bintrail/schemas/file-actions.ts';
import { findingSchema } from '@bintrail/schemas/finding.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import {
  decoded,
  digestMessage,
  digestRow,
  execId,
  execMessage,
  execRow,
  fileMessage,
  fileRow,
  PENDING,
  run,
  T0_NS,
  view,
} from './events.kit.ts';
import { createDetectState, detect } from './stage.ts';

const DROPPED = flagBit('dropped');
const WRITER = { writer_pid: 5, writer_start_ns: 5000n, writer_self_exec_id: 1, writer_path: '/usr/bin/curl' };
const CURL = {
  path: '/usr/bin/curl',
  argv: 'curl\0-o\0a\0',
  uid: 33,
  package_match: 'match',
  package: 'dpkg:curl:amd64',
};
const WRITTEN = { exec_id: execId(5), path: '/usr/bin/curl', argv: ['curl', '-o', 'a'], uid: 33 };

describe('the writer of what ran', () => {
  it('stands in the evidence, with its arguments where they were seen', () => {
    const row = execRow(7, 1, { ...WRITER, written_ns: T0_NS - 5n, flags: DROPPED });
    const [finding] = run(createDetectState(), [execMessage(execRow(5, 1, CURL), row)]);
    assert.equal(finding?.rule, 'dropped-executable');
    assert.deepEqual(finding?.evidence.written_by, { ...WRITTEN, ts_ns: `${T0_NS - 5n}` });
    assert.ok(finding?.evidence.flags.includes('dropped'));
  });

  it('comes with a late digest as well', () => {
    const facts = { ...WRITER, written_ns: T0_NS - 5n, flags: DROPPED };
    const pending = execMessage(execRow(5, 1, CURL), execRow(7, 1, { ...facts, ...PENDING }));
    const found = run(createDetectState(), [pending, digestMessage(digestRow(7, facts))]);
    assert.deepEqual(
      found.map(({ rule, evidence }) => [rule, evidence.written_by?.path]),
      [['dropped-executable', '/usr/bin/curl']],
    );
  });

  it('is left out where nobody saw the file being written, or the time is none', () => {
    for (const facts of [{}, { ...WRITER, written_ns: 2n ** 64n - 1n }]) {
      const [finding] = run(createDetectState(), [execMessage(execRow(7, 1, facts))]);
      assert.ok(finding !== undefined && !('written_by' in finding.evidence));
    }
  });

  it('tells two programs that write the same content apart, and their alerts', () => {
    const written = (pid: number, writer_path: string) =>
      execRow(pid, 1, { ...WRITER, writer_path, written_ns: T0_NS, flags: DROPPED });
    const groups = ['/usr/bin/curl', '/usr/bin/cp'].map(
      (path) => run(createDetectState(), [execMessage(written(7, path))])[0]?.group_id,
    );
    assert.notEqual(groups[0], groups[1]);
  });
});

describe('changes to code in use', () => {
  it('make a finding with who made them, which is a finding as the schema has it', () => {
    const messages = [execMessage(execRow(5, 1, { ...CURL, path: '/bin/cp' })), fileMessage(fileRow(5, 1))];
    const [finding] = run(createDetectState(), messages);
    assert.deepEqual(findingSchema.parse(finding), finding);
    assert.equal(finding?.rule, 'modified-after-start');
    assert.equal(finding?.evidence.written_by?.path, '/bin/cp');
    assert.deepEqual(finding?.evidence.exec.argv, ['curl', '-o', 'a']);
    assert.match(finding?.evidence.verdict.why ?? '', /written by \/bin\/cp/);
  });

  it('are found once, however often and in however many messages they come', () => {
    const state = createDetectState();
    assert.equal(run(state, [fileMessage(fileRow(5, 1), fileRow(6, 1)), fileMessage(fileRow(7, 1))]).length, 1);
    assert.equal(run(state, [fileMessage(fileRow(8, 1))]).length, 0);
  });

  it('of one file are told by the worst', () => {
    const replaced = fileRow(5, 1, { action: FILE_ACTIONS.indexOf('replaced') });
    const [finding] = detect(decoded(fileMessage(replaced, fileRow(5, 1))), view(), createDetectState()).out;
    assert.equal(finding?.finding.severity, 'high');
  });

  it('are none of a finding where nothing was in use', () => {
    assert.deepEqual(run(createDetectState(), [fileMessage(fileRow(5, 1, { flags: 0 }))]), []);
  });
});
