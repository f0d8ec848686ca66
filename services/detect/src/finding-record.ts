/** A finding as it goes to the bus: never more than a bus takes, whatever the texts of an event are. */
import type { Message } from '@bintrail/runtime/bus.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';

/** A quarter of what the topic takes; the longest a probe of ours gives cause for is a tenth of this. */
export const MAX_FINDING_BYTES = 1024 * 1024;

/**
 * The record under its group. One that is too large goes without arguments and ancestors, and says so by the flag
 * `truncated_argv`. @returns undefined when it is too large even so
 */
export function findingMessage(finding: Finding): Message | undefined {
  for (const shown of [finding, withoutTexts(finding)]) {
    const value = Buffer.from(JSON.stringify(shown));
    if (value.byteLength <= MAX_FINDING_BYTES) return { key: finding.group_id, value };
  }
  return undefined;
}

function withoutTexts(finding: Finding): Finding {
  const { evidence } = finding;
  const flags = [...new Set([...evidence.flags, 'truncated_argv'])];
  return { ...finding, evidence: { ...evidence, flags, exec: { ...evidence.exec, argv: [], ancestors: [], cwd: '' } } };
}
