import { findingId, groupId } from '@bintrail/analysis/rules.ts';
import { type Finding, RULES, SEVERITIES } from '@bintrail/schemas/finding.ts';
import fc from 'fast-check';

export type FindingChange = Partial<Omit<Finding, 'evidence'>> & { readonly evidence?: Partial<Finding['evidence']> };

/** An ordinary finding of an unapproved binary; ids follow from what is changed. */
export function makeFinding(change: FindingChange = {}): Finding {
  const { evidence, ...rest } = change;
  const rule = rest.rule ?? 'unapproved-binary';
  const sha256 = rest.sha256 ?? 'ab'.repeat(32);
  const path = rest.path ?? '/usr/local/bin/miner';
  const workload = rest.workload ?? 'systemd/cron.service';
  const subject = sha256 === '' ? `path:${path}` : `sha256:${sha256}`;
  return {
    finding_id: findingId(rule, 1, workload, subject),
    group_id: groupId(rule, 1, subject),
    rule_version: 1,
    severity: 'medium',
    subject,
    role: 'exec',
    node: 'web-1',
    ts_ns: '1790000000123456789',
    policy_revision: 0,
    ...{ rule, sha256, path, workload },
    ...rest,
    evidence: { ...ordinaryEvidence(sha256 !== ''), ...evidence },
  };
}

function ordinaryEvidence(hasDigest: boolean): Finding['evidence'] {
  return {
    verdict: { value: 'unapproved', why: 'No approval covers it and no package owns its path.' },
    digest: hasDigest
      ? { source: 'held', strength: 'exact', reason: '' }
      : { source: '', strength: '', reason: 'too_large' },
    package: '',
    package_version: '',
    package_match: '',
    image: '',
    flags: [],
    exec: {
      exec_id: 'boot:4242:1000:1',
      parent_exec_id: 'boot:4200:900:1',
      pid: 4242,
      ppid: 4200,
      uid: 1000,
      argv: ['miner', '--pool', 'example.org:1'],
      cwd: '/tmp',
      parent_path: '/usr/bin/dash',
      ancestors: [{ exec_id: 'boot:4200:900:1', pid: 4200, path: '/usr/bin/dash', argv: ['sh', '-c', 'miner'] }],
    },
  };
}

/** The digest that is number `n`: any number of groups, one each. */
export function digestOf(n: number): string {
  return n.toString(16).padStart(64, '0');
}

/** Stands in every hostile text, so that a test can see where such a text ended up. */
export const MARK = 'EVIL';

const PIECES = [
  ...['<!channel>', '<!here|x>', '<@U012>', '<#C1>', '<https://evil.example|ok>', 'https://evil.example', '@here'],
  ...['`', '```', '&', '&lt;', '&amp;', '<', '>', '*', '_', '~', ':boom:', '"', "'", '\\', '$(id)', ';', '\\x41'],
  ...[
    '\n',
    '\r',
    '\0',
    '\x1b[31m',
    '\x7f',
    '\u0085',
    '\u202e',
    '\u2066',
    '\u200b',
    '\ufeff',
    '\u2028',
    '\ud800',
    ' ',
    '😀',
    'é',
    'name',
  ],
];

/** Short or very long text made to break out of whatever it is put in. */
export const hostile: fc.Arbitrary<string> = fc
  .record({
    pieces: fc.array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary' })), { maxLength: 12 }),
    times: fc.constantFrom(1, 1, 3, 60),
  })
  .map(({ pieces, times }) => MARK + pieces.join('').repeat(times));

const words = fc.oneof(hostile, fc.constant(''));

export const hostileFinding: fc.Arbitrary<Finding> = fc.record({
  finding_id: fc.oneof(fc.constant('cd'.repeat(32)), hostile),
  group_id: fc.constant('ef'.repeat(32)),
  rule: fc.constantFrom(...RULES),
  rule_version: fc.constant(1),
  severity: fc.constantFrom(...SEVERITIES),
  workload: words,
  subject: words,
  sha256: fc.oneof(fc.constantFrom('', 'ab'.repeat(32)), hostile),
  path: words,
  role: words,
  node: words,
  ts_ns: fc.oneof(words, fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String)),
  policy_revision: fc.nat(),
  evidence: fc.record({
    verdict: fc.record({ value: words, why: words }),
    digest: fc.record({ source: words, strength: fc.oneof(words, fc.constant('exact')), reason: words }),
    package: words,
    package_version: words,
    package_match: fc.oneof(words, fc.constantFrom('match', 'mismatch')),
    image: words,
    container: fc.option(fc.record({ id: words, name: words, image_ref: words, namespace: words, pod: words }), {
      nil: undefined,
    }),
    flags: fc.array(words, { maxLength: 20 }),
    exec: fc.record({
      exec_id: words,
      parent_exec_id: words,
      pid: fc.nat(),
      ppid: fc.nat(),
      uid: fc.nat(),
      argv: fc.array(words, { maxLength: 20 }),
      cwd: words,
      parent_path: words,
      ancestors: fc.array(
        fc.record({ exec_id: words, pid: fc.nat(), path: words, argv: fc.array(words, { maxLength: 5 }) }),
        { maxLength: 12 },
      ),
    }),
  }),
});
