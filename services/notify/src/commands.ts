/** Commands an analyst pastes into a shell. Everything in them is quoted: no name seen on a host may reach the shell. */
import { STRONG } from '@bintrail/schemas/digest-words.ts';
import type { Finding, Rule } from '@bintrail/schemas/finding.ts';
import { code } from './mrkdwn.ts';

/** Where the api is reached and where the operator keeps the token; absolute, as both are pasted anywhere. */
export type ApiAccess = { readonly apiUrl: string; readonly tokenPath: string };

/**
 * Rules whose finding an approval of the digest settles. A denied digest stays denied (deny comes first), a file without
 * a digest stays unknown, and content that was never a file is looked at before it is approved.
 */
const APPROVABLE: readonly Rule[] = ['unapproved-binary', 'dropped-executable', 'tampered-package-file'];

/** What to do next: a complete command, and in mrkdwn what to think of before running it. */
export type NextStep = { readonly kind: 'approve' | 'look'; readonly command: string; readonly hint: string };

export function nextStep(finding: Finding, access: ApiAccess): NextStep {
  const obstacle = whyNotApprovable(finding);
  if (obstacle !== undefined) return { kind: 'look', command: lookAt(finding, access), hint: obstacle };
  return {
    kind: 'approve',
    command: approveDigest(finding, access),
    hint: 'Set `reason` to yours; `"workload":"*"` approves it everywhere, `expires_at` ends it.',
  };
}

function whyNotApprovable({ rule, sha256, workload, evidence }: Finding): string | undefined {
  if (rule === 'denied-digest')
    return 'A deny rule names this digest, and an approval does not lift it. Where it ran, and still runs:';
  if (rule === 'probe-silent') return 'What runs on this node is not seen meanwhile: look at the node itself.';
  if (rule === 'library-writable-while-mapped')
    return 'Its bytes may change under whoever has it mapped: find out who keeps it open for writing.';
  if (rule === 'modified-after-start') {
    return 'What runs is not what lies there now: see who changed it, and start it again once you know why.';
  }
  if (rule === 'hash-missing') return 'Without a digest there is nothing to approve.';
  if (!APPROVABLE.includes(rule)) return 'See what it did before you approve anything. Its process tree:';
  if (sha256 === '') return 'Without a digest there is nothing to approve.';
  if (!(STRONG as readonly string[]).includes(evidence.digest.strength)) {
    return `The digest is only ${code(evidence.digest.strength, 80)}: an approval cannot cover it.`;
  }
  return workload.endsWith('*') ? 'The workload id ends in an asterisk: a scope cannot name it exactly.' : undefined;
}

/** Approves the digest in the workload it was seen in: the narrowest scope that settles the finding. */
export function approveDigest(finding: Finding, { apiUrl, tokenPath }: ApiAccess): string {
  const body = {
    match: { sha256: [finding.sha256] },
    effect: 'allow',
    scope: { workload: finding.workload },
    reason: `Reviewed from Slack alert ${finding.group_id.slice(0, 12)}`,
  };
  return [
    `curl -sS -X POST ${quote(`${apiUrl}/v1/approvals`)}`,
    authorization(tokenPath),
    `  -H 'Content-Type: application/json'`,
    `  -d ${quote(asciiJson(body))}`,
  ].join(' \\\n');
}

/** What tells most of a finding that an approval does not settle: where the content runs, or what the process is part of. */
function lookAt({ rule, sha256, finding_id, evidence }: Finding, access: ApiAccess): string {
  if (rule === 'denied-digest' && sha256 !== '') return get(`/v1/binaries/${pathPart(sha256)}`, access);
  if (rule === 'fileless-exec' || rule === 'modified-after-start')
    return get(`/v1/processes/${pathPart(evidence.exec.exec_id)}`, access);
  return showFinding(finding_id, access);
}

export function showFinding(findingId: string, access: ApiAccess): string {
  return get(`/v1/findings/${pathPart(findingId)}`, access);
}

export function listFindings(access: ApiAccess): string {
  return get('/v1/findings?state=open', access);
}

function get(path: string, { apiUrl, tokenPath }: ApiAccess): string {
  return [`curl -sS ${quote(`${apiUrl}${path}`)}`, authorization(tokenPath)].join(' \\\n');
}

function pathPart(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function authorization(tokenPath: string): string {
  return `  -H "Authorization: Bearer $(cat ${quote(tokenPath)})"`;
}

/** One POSIX shell word; also right inside the `$( )` of a double-quoted one. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`;
}

/** JSON in which only plain ASCII is left, without what Slack or a text field may change on the way. */
function asciiJson(value: unknown): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[^ -~]|[`<>&]/g, escaped);
}
