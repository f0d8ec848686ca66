/** What is worth a finding when a file changes that is code in use. Pure: nothing is judged, as nothing ran. */
import { FILE_ACTIONS, type FileAction } from '@bintrail/schemas/file-actions.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { type FindingCore, findingId, groupId, isDeployed, raised } from './rules.ts';

/** A row of `file`, its texts printable. The workload is that of the program that made the change. */
export type FileChange = {
  readonly workload: string;
  readonly path: string;
  readonly action: FileAction;
  readonly flags: number;
};

const RULE = 'modified-after-start';
const VERSION = 1;
const IN_USE = flagBit('in_use');
const BY_INSTALLER = flagBit('by_installer');

/** Into the very bytes that are mapped. Of a running program the kernel refuses it, of a library it does not. */
const IN_PLACE: readonly FileAction[] = ['written', 'truncated'];

/** Bits and actions of the rows that may make a finding, for who counts them in the store. */
export const MODIFIED = {
  inUse: IN_USE,
  byInstaller: BY_INSTALLER,
  actions: [...IN_PLACE, 'replaced' as const].map((action) => FILE_ACTIONS.indexOf(action)),
} as const;

/**
 * A program that still ran, or a library that was still mapped, was written to or replaced. Package managers do that all
 * day and are left out; they are known by package and content, not by name. Writing in place is a finding everywhere: no
 * build does it, as it breaks whatever runs. Replacing is one in deployed workloads only: on a machine where people work
 * every rebuild of a program that runs replaces it. A file that cannot be named makes none.
 */
export function changeFinding({ workload, path, action, flags }: FileChange): FindingCore | undefined {
  if ((flags & IN_USE) === 0 || (flags & BY_INSTALLER) !== 0 || path === '') return undefined;
  const isInPlace = IN_PLACE.includes(action);
  if (!isInPlace && !(action === 'replaced' && isDeployed(workload))) return undefined;
  const subject = `changed:${path}`;
  return {
    finding_id: findingId(RULE, VERSION, workload, subject),
    group_id: groupId(RULE, VERSION, subject),
    rule: RULE,
    rule_version: VERSION,
    severity: isInPlace ? raised('medium') : 'medium',
    ...{ workload, subject, sha256: '', path, role: '' },
  };
}
