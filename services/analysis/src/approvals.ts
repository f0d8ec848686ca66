/** Approvals, indexed for judging: a lookup costs a few map reads and a walk over the rules with a path prefix. */
import type { Approval } from '@bintrail/schemas/approval.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import { compilePattern, matchesPattern, narrowness, type Pattern } from './pattern.ts';

export type CompiledRule = {
  readonly approval: Approval;
  readonly scope: Pattern;
  /** Of a rule by path. */
  readonly path: Pattern | undefined;
  /** Milliseconds since the epoch; infinite for a rule without an end. */
  readonly expiresAtMs: number;
  /** Position in the order of precedence: narrowest scope first, then newest revision, then id. */
  readonly rank: number;
};

/** Rules of one effect. Every list is in order of precedence. */
export type RuleIndex = {
  readonly rules: readonly CompiledRule[];
  readonly bySha256: ReadonlyMap<string, readonly CompiledRule[]>;
  readonly byPackage: ReadonlyMap<string, readonly CompiledRule[]>;
  readonly byPath: ReadonlyMap<string, readonly CompiledRule[]>;
  readonly byPathPrefix: readonly CompiledRule[];
};

export type CompiledApprovals = { readonly allow: RuleIndex; readonly deny: RuleIndex };

/** Indexes approvals, at most one per id. Their order does not matter. */
export function compileApprovals(approvals: Iterable<Approval>): CompiledApprovals {
  const all = [...approvals];
  return {
    allow: indexRules(all.filter(({ effect }) => effect === 'allow')),
    deny: indexRules(all.filter(({ effect }) => effect === 'deny')),
  };
}

function indexRules(approvals: readonly Approval[]): RuleIndex {
  const rules = approvals
    .map((approval) => ({ approval, scope: compilePattern(approval.scope.workload) }))
    .sort(byPrecedence)
    .map((rule, rank) => ({ ...rule, rank, path: pathOf(rule.approval), expiresAtMs: expiryOf(rule.approval) }));
  const bySha256 = new Map<string, CompiledRule[]>();
  const byPackage = new Map<string, CompiledRule[]>();
  const byPath = new Map<string, CompiledRule[]>();
  const byPathPrefix: CompiledRule[] = [];
  for (const rule of rules) {
    const { match } = rule.approval;
    if ('sha256' in match) for (const sha256 of match.sha256) append(bySha256, sha256, rule);
    else if ('package' in match) append(byPackage, match.package.name, rule);
    else if (rule.path?.isPrefix) byPathPrefix.push(rule);
    else append(byPath, match.path, rule);
  }
  return { rules, bySha256, byPackage, byPath, byPathPrefix };
}

type Ranked = { readonly approval: Approval; readonly scope: Pattern };

function byPrecedence(a: Ranked, b: Ranked): number {
  const [narrowA, narrowB] = [narrowness(a.scope), narrowness(b.scope)];
  if (narrowA !== narrowB) return narrowA > narrowB ? -1 : 1;
  if (a.approval.revision !== b.approval.revision) return b.approval.revision - a.approval.revision;
  return a.approval.id < b.approval.id ? -1 : 1;
}

function pathOf({ match }: Approval): Pattern | undefined {
  return 'path' in match ? compilePattern(match.path) : undefined;
}

function expiryOf(approval: Approval): number {
  return approval.expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(approval.expires_at);
}

function append(map: Map<string, CompiledRule[]>, key: string, rule: CompiledRule): void {
  const rules = map.get(key);
  if (rules === undefined) map.set(key, [rule]);
  else rules.push(rule);
}

/** True until the instant of expiry; at that instant the rule no longer counts. */
export function isInForce(rule: CompiledRule, atMs: number): boolean {
  return atMs < rule.expiresAtMs;
}

/**
 * The rule that decides for a sighting: of all that match, apply to its workload and are in force at `atMs`, the one
 * with the narrowest scope. `packageCounts` says whether rules by package may be used.
 */
export function decidingRule(
  index: RuleIndex,
  sighting: Sighting,
  atMs: number,
  packageCounts: boolean,
): CompiledRule | undefined {
  let best: CompiledRule | undefined;
  const consider = (rule: CompiledRule): boolean => {
    if (best !== undefined && best.rank <= rule.rank) return true;
    if (!isInForce(rule, atMs) || !matchesPattern(rule.scope, sighting.workload)) return false;
    best = rule;
    return true;
  };
  index.bySha256.get(sighting.sha256)?.some(consider);
  index.byPath.get(sighting.path)?.some(consider);
  index.byPathPrefix.some((rule) => matchesPattern(rule.path!, sighting.path) && consider(rule));
  if (packageCounts) {
    index.byPackage.get(sighting.package)?.some((rule) => coversVersion(rule, sighting) && consider(rule));
  }
  return best;
}

function coversVersion({ approval }: CompiledRule, sighting: Sighting): boolean {
  if (!('package' in approval.match)) return false;
  const { version } = approval.match.package;
  return version === undefined || version === sighting.package_version;
}
