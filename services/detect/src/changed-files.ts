/** Rows of changes to code that is in use, and the findings they make. */
import { changeFinding } from '@bintrail/analysis/change-rules.ts';
import type { FindingCore } from '@bintrail/analysis/rules.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { fileAction } from '@bintrail/schemas/file-actions.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { flagNames } from '@bintrail/schemas/flags.ts';
import { bigAt, numberAt } from '@bintrail/schemas/row.ts';
import { readTexts } from './column-reader.ts';
import { execOf, inContainer, type Known } from './evidence.ts';
import type { Seen } from './judged-rows.ts';

export type ChangedFile = Seen & { readonly core: FindingCore };

export function changedFiles(batches: readonly Batch[]): ChangedFile[] {
  return batches.flatMap((batch) => {
    if (batch.type !== 'file') return [];
    const [workload, path] = [readTexts(batch, 'workload'), readTexts(batch, 'path')];
    return Array.from({ length: batch.rows }, (_, row) => row).flatMap((row) => {
      const change = { action: actionAt(batch, row), flags: numberAt(batch, 'flags', row) };
      const core = changeFinding({ ...change, workload: workload.at(row), path: path.at(row) });
      return core === undefined ? [] : [{ batch, row, timeNs: bigAt(batch, 'ts', row), core }];
    });
  });
}

function actionAt(batch: Batch, row: number) {
  return fileAction(numberAt(batch, 'action', row));
}

/** The record that is published. `exec` is the program that made the change, and `written_by` as well. */
export function changedFinding(
  core: FindingCore,
  { batch, row, timeNs }: ChangedFile,
  policyRevision: number,
  known: Known,
): Finding {
  const writer = readTexts(batch, 'writer_path').at(row);
  const exec = execOf({ batch, row }, '', known.findProcess);
  const uid = numberAt(batch, 'uid', row);
  const by = writer === '' ? 'a program that is not known' : writer;
  const why = `It was in use when it was ${actionAt(batch, row)} by ${by}: what runs of it is not what lies there now.`;
  return {
    ...core,
    node: batch.node,
    ts_ns: timeNs.toString(),
    policy_revision: policyRevision,
    evidence: {
      verdict: { value: 'unknown', why },
      digest: { source: '', strength: '', reason: 'changed' },
      ...{ package: '', package_version: '', package_match: '', image: readTexts(batch, 'image').at(row) },
      ...inContainer({ batch, row }, known),
      flags: flagNames(numberAt(batch, 'flags', row)),
      written_by: { exec_id: exec.exec_id, path: writer, argv: exec.argv, uid, ts_ns: timeNs.toString() },
      exec,
    },
  };
}
