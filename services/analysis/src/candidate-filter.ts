/**
 * Approvals compiled into a condition over the columns of `sightings`, so that lists by verdict read candidates only.
 * It is a superset: whatever `judge` gives the wanted verdict passes. With ordinary names and up to some thousand
 * digests it is exact; beyond that it passes more, never less.
 */
import { STRONG } from '@bintrail/schemas/digest-words.ts';
import type { VerdictValue } from '@bintrail/schemas/sighting.ts';
import { type CompiledApprovals, type CompiledRule, isInForce, type RuleIndex } from './approvals.ts';
import { CONTAINER_WORKLOADS, WEAK_IN_TIMING } from './judge.ts';
import type { Pattern } from './pattern.ts';
import { all, any, bind, type Draft, FALSE, not, openDraft, type Params, TRUE } from './sql-condition.ts';

export type CandidateFilter = {
  /** A ClickHouse condition over unqualified columns of `sightings`, to be joined to others by AND. */
  readonly sql: string;
  /** Values of its placeholders; all their names start with `cf_`. */
  readonly params: Readonly<Params>;
};

/** Conditions that stand in a negation must not pass too much: they are bounded from below. */
type Bound = 'over' | 'under';

const HAS_DIGEST = "sha256 != toFixedString('', 32)";
const IS_STRONG = `digest_strength IN (${STRONG.map((strength) => `'${strength}'`).join(', ')})`;
// What is weak only in its timing may be corroborated by other sightings, which a condition on one cannot see.
const MAY_COUNT = any([
  IS_STRONG,
  `digest_strength IN (${WEAK_IN_TIMING.map((strength) => `'${strength}'`).join(', ')})`,
]);
const IN_CONTAINER = any(CONTAINER_WORKLOADS.map((prefix) => `startsWith(workload, '${prefix}')`));
const IS_VERIFIED = all(["package_match = 'match'", not(all(['upper_layer != 0', IN_CONTAINER]))]);
const IS_EXPLAINED = any([IS_VERIFIED, "role = 'setup'"]);

// One parameter may hold 128 KiB (http_max_field_value_size): 1,000 digests take 67 KB.
const DIGESTS_PER_PARAM = 1000;

/** Compiles for verdicts as of `atMs`, milliseconds since the epoch: rules that have expired by then are left out. */
export function candidateFilter(approvals: CompiledApprovals, wanted: VerdictValue, atMs: number): CandidateFilter {
  const draft = openDraft('cf_');
  const denied = (bound: Bound) => rulesCondition(draft, approvals.deny, atMs, bound, TRUE);
  const allowed = (bound: Bound) => rulesCondition(draft, approvals.allow, atMs, bound, IS_VERIFIED);
  const conditions: Record<VerdictValue, () => string> = {
    denied: () => denied('over'),
    unknown: () => all([not(HAS_DIGEST), not(denied('under'))]),
    approved: () => all([HAS_DIGEST, MAY_COUNT, allowed('over'), not(denied('under'))]),
    explained: () => all([HAS_DIGEST, MAY_COUNT, IS_EXPLAINED, not(allowed('under')), not(denied('under'))]),
    unapproved: () =>
      all([HAS_DIGEST, not(denied('under')), not(all([IS_STRONG, any([IS_EXPLAINED, allowed('under')])]))]),
  };
  return { sql: conditions[wanted](), params: draft.params };
}

function rulesCondition(draft: Draft, index: RuleIndex, atMs: number, bound: Bound, packageGuard: string): string {
  const inForce = index.rules.filter((rule) => isInForce(rule, atMs));
  const byScope = Map.groupBy(inForce, ({ approval }) => approval.scope.workload);
  const conditions = Array.from(byScope.values(), (rules) =>
    all([
      patternCondition(draft, 'workload', rules[0]!.scope, bound),
      matchCondition(draft, rules, bound, packageGuard),
    ]),
  );
  return any(conditions);
}

function matchCondition(draft: Draft, rules: readonly CompiledRule[], bound: Bound, packageGuard: string): string {
  const digests = new Set<string>();
  const conditions: string[] = [];
  for (const { approval, path } of rules) {
    const { match } = approval;
    if ('sha256' in match) for (const digest of match.sha256) digests.add(digest);
    else if (path !== undefined) conditions.push(patternCondition(draft, 'path', path, bound));
    else if ('package' in match) conditions.push(packageCondition(draft, match.package, bound, packageGuard));
  }
  return any([...conditions, ...digestConditions(draft, [...digests], bound)]);
}

function packageCondition(
  draft: Draft,
  { name, version }: { readonly name: string; readonly version?: string | undefined },
  bound: Bound,
  guard: string,
): string {
  const conditions = [guard, patternCondition(draft, 'package', { text: name, isPrefix: false }, bound)];
  if (version !== undefined) {
    conditions.push(patternCondition(draft, 'package_version', { text: version, isPrefix: false }, bound));
  }
  return all(conditions);
}

// As a set from a subquery: the engine turns IN with an array expression into a linear has() (9 s for 1,000 digests
// over 1 M rows, against 60 ms for 8,000 this way), and reads the primary key with it.
function digestConditions(draft: Draft, digests: readonly string[], bound: Bound): string[] {
  const conditions: string[] = [];
  for (let from = 0; from < digests.length; from += DIGESTS_PER_PARAM) {
    const placeholder = bind(draft, 'Array(String)', digests.slice(from, from + DIGESTS_PER_PARAM));
    if (placeholder === undefined) return [...conditions, unbound(bound)];
    conditions.push(`sha256 IN (SELECT toFixedString(unhex(arrayJoin(${placeholder})), 32))`);
  }
  return conditions;
}

/**
 * Rules compare printable text, the store compares bytes. Without a backslash or control character the two agree; from
 * the first such character on, `\x41` in a pattern may stand for itself or for a byte, so only what is before it counts.
 */
function patternCondition(draft: Draft, column: string, { text, isPrefix }: Pattern, bound: Bound): string {
  const literal = /^[^\\\p{Cc}\p{Cs}]*/u.exec(text)![0];
  const isExact = literal === text;
  if (!isExact && bound === 'under') return FALSE;
  const asPrefix = isPrefix || !isExact;
  if (asPrefix && literal === '') return TRUE;
  const placeholder = bind(draft, 'String', literal);
  if (placeholder === undefined) return unbound(bound);
  return asPrefix ? `startsWith(${column}, ${placeholder})` : `${column} = ${placeholder}`;
}

function unbound(bound: Bound): string {
  return bound === 'over' ? TRUE : FALSE;
}
