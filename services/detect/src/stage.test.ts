import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { corroborationOf } from '@bintrail/analysis/corroboration.ts';
import { judge } from '@bintrail/analysis/judge.ts';
import { findings } from '@bintrail/analysis/rules.ts';
import { DIGEST_STRENGTHS } from '@bintrail/schemas/digest-words.ts';
import { type Finding, SEVERITIES } from '@bintrail/schemas/finding.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import fc from 'fast-check';
import {
  approval,
  decoded,
  digestMessage,
  digestRow,
  execId,
  execMessage,
  execRow,
  loadMessage,
  loadRow,
  NODE,
  PENDING,
  run,
  sha256Of,
  T0_MS,
  T0_NS,
  view,
} from './events.kit.ts';
import { createDetectState, detect } from './stage.ts';

const SNAPSHOT = flagBit('snapshot');
const MEMFD = flagBit('memfd');
const UPPER = flagBit('upper_layer');
const SETUP = flagBit('runtime_setup');
const HOUR_MS = 3_600_000;
const NONE = view();

describe('detect', () => {
  it('makes a finding of an unapproved exec, with evidence', () => {
    const row = execRow(7, 1, {
      flags: flagBit('unlinked') | flagBit('setuid'),
      parent_path: '/bin/sh',
      image: 'sha256:9',
    });
    const [finding, ...more] = run(
      createDetectState(),
      [execMessage(row)],
      view(approval({ match: { path: '/x' } }, 12)),
    );
    assert.equal(more.length, 0);
    const { evidence, finding_id, group_id, ...rest } = finding!;
    assert.match(finding_id, /^[0-9a-f]{64}$/);
    assert.match(group_id, /^[0-9a-f]{64}$/);
    assert.deepEqual(rest, {
      rule: 'unapproved-binary',
      rule_version: 1,
      severity: 'high',
      workload: 'systemd/nginx.service',
      subject: `sha256:${'a'.repeat(64)}`,
      sha256: 'a'.repeat(64),
      path: '/opt/a',
      role: 'exec',
      node: NODE,
      ts_ns: T0_NS.toString(),
      policy_revision: 12,
    });
    assert.deepEqual(evidence, {
      verdict: { value: 'unapproved', why: 'No approval covers it and no package owns its path.' },
      digest: { source: 'held', strength: 'exact', reason: '' },
      package: '',
      package_version: '',
      package_match: '',
      image: 'sha256:9',
      flags: ['unlinked', 'setuid'],
      exec: {
        exec_id: execId(7),
        parent_exec_id: execId(1),
        pid: 7,
        ppid: 1,
        uid: 1000,
        argv: ['/opt/a', '-v'],
        cwd: '/srv',
        parent_path: '/bin/sh',
        ancestors: [],
      },
    });
  });

  it('judges a thousand execs of one binary once, and names the earliest', () => {
    const rows = Array.from({ length: 1000 }, (_, i) => execRow(10 + i, 1, { ts: T0_NS - BigInt(i) }));
    const batches = decoded(execMessage(...rows.slice(0, 500)), execMessage(...rows.slice(500)));
    const { out, judged } = detect(batches, NONE, createDetectState());
    assert.equal(judged, 1);
    assert.deepEqual(
      out.map(({ finding }) => finding.ts_ns),
      [(T0_NS - 999n).toString()],
    );
  });

  it('makes one finding a workload, and one group of them', () => {
    const rows = ['a', 'b', 'a'].map((name, i) => execRow(10 + i, 1, { workload: `container/docker/${name}` }));
    const found = run(createDetectState(), [execMessage(...rows)]);
    assert.equal(found.length, 2);
    assert.equal(new Set(found.map(({ finding_id }) => finding_id)).size, 2);
    assert.equal(new Set(found.map(({ group_id }) => group_id)).size, 1);
  });

  it('makes none of what is approved or explained', () => {
    const known = { package: 'dpkg:curl:amd64', package_version: '1', package_match: 'match', sha256: sha256Of('b') };
    const policy = view(approval({}));
    assert.deepEqual(run(createDetectState(), [execMessage(execRow(7, 1), execRow(8, 1, known))], policy), []);
  });

  it('judges scripts and late digests, each by its own time', () => {
    const script = loadRow(7, { sha256: sha256Of('b') });
    const late = digestRow(8, { sha256: sha256Of('c'), event_ts: T0_NS - 5n });
    const found = run(createDetectState(), [loadMessage(script), digestMessage(late)]);
    assert.deepEqual(
      found.map(({ role, path, ts_ns }) => [role, path, ts_ns]),
      [
        ['script', '/opt/a.sh', T0_NS.toString()],
        ['exec', '/opt/a', (T0_NS - 5n).toString()],
      ],
    );
  });

  it('waits for the digest of what is pending, and then shows the exec it belongs to', () => {
    const state = createDetectState();
    assert.deepEqual(
      run(state, [execMessage(execRow(1, 0, { sha256: '', flags: SNAPSHOT }), execRow(7, 1, PENDING))]),
      [],
    );
    const [finding] = run(state, [digestMessage(digestRow(7))]);
    assert.deepEqual(finding!.evidence.exec.argv, ['/opt/a', '-v']);
    assert.equal(finding!.evidence.exec.cwd, '/srv');
    assert.deepEqual(
      finding!.evidence.exec.ancestors.map(({ exec_id }) => exec_id),
      [execId(1)],
    );
  });

  it('does not judge what ran before the probe, late digests of it neither', () => {
    const old = { flags: SNAPSHOT };
    const messages = [execMessage(execRow(7, 1, old)), loadMessage(loadRow(7, old)), digestMessage(digestRow(7, old))];
    assert.deepEqual(run(createDetectState(), messages), []);
  });

  it('reports a digest that never came with its reason', () => {
    const missing = { sha256: '', digest_source: '', digest_strength: '', digest_reason: 'too_large' };
    const [finding] = run(createDetectState(), [execMessage(execRow(7, 1, missing))]);
    assert.deepEqual([finding!.rule, finding!.sha256, finding!.subject], ['hash-missing', '', 'path:/opt/a']);
    assert.equal(finding!.evidence.digest.reason, 'too_large');
  });

  it('tells a memory file from a file of the same content', () => {
    const rows = [execRow(7, 1), execRow(8, 1, { flags: flagBit('memfd'), path: '/memfd:x' })];
    const rules = run(createDetectState(), [execMessage(...rows)]).map(({ rule }) => rule);
    assert.deepEqual(rules.sort(), ['fileless-exec', 'unapproved-binary']);
  });

  it('shows bytes that are no text as they were', () => {
    const row = execRow(7, 1, { path: '/opt/\xff\n', argv: '\xfe\0\0last', cwd: '/\xc3\xa9' });
    const [finding] = run(createDetectState(), [execMessage(row)]);
    assert.equal(finding!.path, '/opt/\\xff\\x0a');
    assert.deepEqual(finding!.evidence.exec.argv, ['\\xfe', '', 'last']);
    assert.equal(finding!.evidence.exec.cwd, '/é');
  });
});

describe('the time of judgement', () => {
  it('is that of the event: an approval that expires between two execs covers the first', () => {
    const policy = view(approval({ expires_at: new Date(T0_MS + HOUR_MS).toISOString() }));
    const times = [0n, 1n, 2n].map((hours) => T0_NS + hours * BigInt(HOUR_MS) * 1_000_000n);
    const rows = times.map((ts, i) => execRow(10 + i, 1, { ts }));
    assert.deepEqual(run(createDetectState(), [execMessage(rows[0]!)], policy), []);
    const [finding] = run(createDetectState(), [execMessage(...rows)], policy);
    assert.equal(finding!.ts_ns, times[2]!.toString());
  });
});

describe('for any rows', () => {
  const rows = fc.array(
    fc.record({
      workload: fc.constantFrom('host', 'systemd/x', 'container/docker/w'),
      path: fc.constantFrom('/opt/a', '/opt/b', '/opt/c'),
      sha256: fc.constantFrom('', 'a', 'b'),
      digest_strength: fc.constantFrom(...DIGEST_STRENGTHS),
      digest_reason: fc.constantFrom('pending' as const, 'timeout' as const),
      package_match: fc.constantFrom('' as const, 'match' as const, 'mismatch' as const),
      flags: fc.constantFrom(0, MEMFD, UPPER, SNAPSHOT, flagBit('setuid'), SETUP),
    }),
    { minLength: 1, maxLength: 40 },
  );
  const policy = view(approval({ match: { path: '/opt/b' }, scope: { workload: 'systemd/*' } }));

  it('finds what judging them one by one finds, however they are cut into messages', () => {
    fc.assert(
      fc.property(rows, fc.nat(), (parts, cut) => {
        const seen = parts.map(({ sha256: digit, flags, ...part }, i) => {
          const owner = part.package_match === '' ? '' : 'dpkg:curl:amd64';
          const known = digit === '' ? { digest_strength: '' as const } : { digest_reason: '' as const };
          const row = { ...part, ...known, package: owner, ts: T0_NS + BigInt(i) };
          const watched = flags !== SNAPSHOT && !(digit === '' && part.digest_reason === 'pending');
          const role = flags === SETUP ? ('setup' as const) : ('exec' as const);
          const place = { image: '', role, package_version: '', upper_layer: flags === UPPER };
          return { row, flags, digit, watched, sighting: { ...row, ...place, sha256: digit.repeat(64) } };
        });
        const covers = corroborationOf(seen.filter(({ watched }) => watched).map(({ sighting }) => sighting));
        const expected = new Map<string, { ts: string; severity: Finding['severity'] }>();
        const rank = (severity: Finding['severity']) => SEVERITIES.indexOf(severity);
        for (const { row, flags, watched, sighting } of seen) {
          const verdict = judge(sighting, policy.approvals, T0_MS, covers(sighting));
          for (const { finding_id: id, severity } of watched ? findings(sighting, verdict, flags) : []) {
            const known = expected.get(id);
            if (known === undefined || rank(severity) < rank(known.severity)) {
              expected.set(id, { ts: row.ts.toString(), severity });
            }
          }
        }
        const sent = seen.map(({ row, flags, digit }, i) =>
          execRow(10 + i, 1, { ...row, sha256: digit === '' ? '' : sha256Of(digit), flags }),
        );
        const at = cut % (sent.length + 1);
        const messages = [sent.slice(0, at), sent.slice(at)].filter((part) => part.length > 0);
        const found = run(
          createDetectState(),
          messages.map((part) => execMessage(...part)),
          policy,
        );
        assert.deepEqual(
          new Map(found.map(({ finding_id: id, ts_ns: ts, severity }) => [id, { ts, severity }])),
          expected,
        );
      }),
      { numRuns: 500 },
    );
  });
});
