/** Puts together what a record of the ring passes through on its way to the bus; the kernel's side is not in it. */
import { textCells } from '@bintrail/schemas/batch-columns.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { createArgvRedactor, type Redact, redactJoined } from './argv-redactor.ts';
import type { Bell } from './bell.ts';
import { type CodeIntake, createCodeIntake } from './code-intake.ts';
import type { ContainerNames } from './containers/names.ts';
import { createExecColumns } from './exec-columns.ts';
import { createExitColumns } from './exit-columns.ts';
import { createFileChanges, type FileChanges } from './file-changes.ts';
import { createImageTable, type ImageId } from './image-table.ts';
import { createInstallers } from './installers.ts';
import { createInterpreted, type Interpreted, type InterpretedOptions } from './interpreted-scripts.ts';
import { createInterpreters, type Interpreters, type InterpretersOptions } from './interpreters.ts';
import { createKnownFiles } from './known-files.ts';
import { createLoads } from './loads.ts';
import { createObserver, type Observer, type ObserverOptions } from './observer.ts';
import { createOrigins, type Origins, type WorkloadOf } from './origins.ts';
import { createIntake, type Intake } from './record-intake.ts';
import { createDescribeWriter } from './writers.ts';

export type RecordPathOptions = Omit<
  ObserverOptions,
  'images' | 'origins' | 'files' | 'redact' | 'installers' | 'describeWriter' | 'onProgram'
> & {
  /** What is asked about scripts that interpreters open by themselves; without it there are none. */
  readonly scripts?: Pick<InterpretedOptions, 'look'> & Pick<InterpretersOptions, 'name'>;
  /** Called for what is no record of ours, with what its ring is for. */
  readonly onUndecodable: (ring: 'exec' | 'load') => void;
  readonly workloadOf: WorkloadOf;
  readonly noteKnown: Bell['noteKnown'];
  /** Who knows the names of containers; without it they are called by their ids. */
  readonly containerNames?: Pick<ContainerNames, 'find'> | undefined;
  readonly redact: Redact;
};

export type RecordPath = {
  readonly observer: Observer;
  readonly intake: Intake;
  readonly takeCode: CodeIntake;
  readonly changes: FileChanges;
  readonly interpreters: Interpreters;
  readonly interpreted: Interpreted;
  readonly origins: Origins;
  /** Id of the container that this program image runs in; empty for none. */
  readonly containerOf: (image: ImageId) => string;
};

const NO_SCRIPTS = { look: () => undefined, name: () => {} };

export function createRecordPath(options: RecordPathOptions): RecordPath {
  const { out, redact } = options;
  const execs = out.columns('exec');
  const [images, installers] = [createImageTable(), createInstallers()];
  const shared = {
    ...{ images, installers, describeWriter: createDescribeWriter(images, installers) },
    origins: createOrigins(out, options.workloadOf, options.containerNames),
    files: createKnownFiles(execs, options.tickNs),
  };
  const observer = createObserver({
    ...{ ...options, ...shared },
    redact: (argv) => redactJoined(redact, argv),
    onProgram: (row, place) => interpreted.onProgram(row, place),
  });
  const scripts = options.scripts ?? NO_SCRIPTS;
  const interpreters = createInterpreters({ name: scripts.name, nowNs: options.nowNs });
  const interpreted = createInterpreted({ ...options, ...shared, ...scripts, observer, interpreters });
  const redactor = createArgvRedactor(redact, textCells(execs, 'argv').table);
  const intake = createIntake({
    takeExec: createExecColumns({ ...options, ...shared, redactor }),
    takeExit: createExitColumns(out, shared.images),
    ...{ observer, onUndecodable: () => options.onUndecodable('exec') },
  });
  const changes = createFileChanges({ out, ...shared });
  const loads = createLoads({ observer, origins: shared.origins, nextSeq: options.nextSeq });
  const takers = new Map([[EVENTS.file.id, changes.take], ...loads, ...interpreted.takers]);
  const takeCode = createCodeIntake(takers, () => options.onUndecodable('load'));
  const containerOf = (image: ImageId) => images.find(image)?.place.containerId ?? '';
  return { observer, intake, takeCode, changes, interpreters, interpreted, origins: shared.origins, containerOf };
}
