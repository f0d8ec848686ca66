/** What follows from a cgroup's path or a program's path alone, worked out once for each, with its texts at hand. */
import { type BatchColumns, textCells } from '@bintrail/schemas/batch-columns.ts';
import { latin1, type Text } from '@bintrail/schemas/text-table.ts';
import type { EventsOut } from './events-out.ts';

/** Whose workload a cgroup is. */
export type Place = {
  readonly workload: string;
  readonly containerId: string;
  readonly inExec: PlaceTexts;
  readonly inExit: PlaceTexts;
};

type PlaceTexts = { readonly workload: Text; readonly containerId: Text };

export type Program = {
  readonly path: string;
  readonly asParent: Text;
  readonly asWriter: Text;
  /** The other texts of its last record, by their position. */
  readonly lastTexts: (Text | undefined)[];
};
export type Origins = {
  /** The text is one of the column `cgroup_path` of execs. */
  readonly placeOf: (cgroupPath: Text) => Place;
  readonly placeOfPath: (cgroupPath: string) => Place;
  /** The text is one of the column `path` of execs. */
  readonly programOf: (path: Text) => Program;
  readonly programOfPath: (path: string) => Program;
};

export type WorkloadOf = (cgroupPath: string) => { readonly workload: string; readonly containerId: string };

export function createOrigins(out: EventsOut, workloadOf: WorkloadOf): Origins {
  const [exec, exit] = [out.columns('exec'), out.columns('exit')];
  const [cgroups, paths] = [textCells(exec, 'cgroup_path').table, textCells(exec, 'path').table];
  const parents = textCells(exec, 'parent_path').table;
  const writers = textCells(exec, 'writer_path').table;
  const [inExec, inExit] = [placeTexts(exec), placeTexts(exit)];

  const placeOf = (cgroupPath: Text): Place => {
    cgroupPath.memo ??= makePlace(latin1(cgroupPath));
    return cgroupPath.memo as Place;
  };
  const makePlace = (path: string): Place => {
    const { workload, containerId } = workloadOf(path);
    return { workload, containerId, inExec: inExec(workload, containerId), inExit: inExit(workload, containerId) };
  };
  const programOf = (path: Text): Program => {
    path.memo ??= { path: latin1(path), asParent: parents.own(path), asWriter: writers.own(path), lastTexts: [] };
    return path.memo as Program;
  };
  return {
    ...{ placeOf, programOf },
    placeOfPath: (path) => placeOf(cgroups.internLatin1(path)),
    programOfPath: (path) => programOf(paths.internLatin1(path)),
  };
}

function placeTexts(columns: BatchColumns): (workload: string, containerId: string) => PlaceTexts {
  const workloads = textCells(columns, 'workload').table;
  const containers = textCells(columns, 'container_id').table;
  return (workload, containerId) => ({
    workload: workloads.internLatin1(workload),
    containerId: containers.internLatin1(containerId),
  });
}
