import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FileAction } from '@bintrail/schemas/file-actions.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { changeFinding, type FileChange } from './change-rules.ts';

const IN_USE = flagBit('in_use');
const BY_INSTALLER = flagBit('by_installer');
const SERVICE = 'systemd/app.service';

const CASES: [string, Partial<FileChange>, string | undefined][] = [
  ['written in place by a service', {}, 'high'],
  ['truncated', { action: 'truncated' }, 'high'],
  ['written in place where people work', { workload: 'session/alice' }, 'high'],
  ['replaced by a service', { action: 'replaced' }, 'medium'],
  ['replaced in a container', { action: 'replaced', workload: 'container/podman/c' }, 'medium'],
  ['replaced where people work', { action: 'replaced', workload: 'host' }, undefined],
  ['replaced by a package manager', { action: 'replaced', flags: IN_USE | BY_INSTALLER }, undefined],
  ['written by a package manager', { flags: IN_USE | BY_INSTALLER }, undefined],
  ['not in use', { flags: 0 }, undefined],
  ['without a name', { path: '' }, undefined],
  ...(['mode', 'renamed', 'linked', 'unlinked', 'unknown'] as FileAction[]).map(
    (action): [string, Partial<FileChange>, undefined] => [action, { action }, undefined],
  ),
];

describe('changeFinding', () => {
  for (const [name, part, severity] of CASES) {
    it(`${name}: ${severity ?? 'none'}`, () => {
      const change: FileChange = {
        workload: SERVICE,
        path: '/usr/lib/x.so',
        action: 'written',
        flags: IN_USE,
        ...part,
      };
      const found = changeFinding(change);
      assert.equal(found?.severity, severity);
      if (found !== undefined)
        assert.deepEqual([found.rule, found.subject], ['modified-after-start', 'changed:/usr/lib/x.so']);
    });
  }

  it('is one finding for a file and workload, and one alert for a file', () => {
    const of = (workload: string, action: FileAction) =>
      changeFinding({ workload, action, path: '/usr/bin/app', flags: IN_USE })!;
    assert.equal(of(SERVICE, 'written').finding_id, of(SERVICE, 'replaced').finding_id);
    assert.notEqual(of(SERVICE, 'written').finding_id, of('host', 'written').finding_id);
    assert.equal(of(SERVICE, 'written').group_id, of('host', 'written').group_id);
  });
});
