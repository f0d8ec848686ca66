/** What follows from a cgroup's path or a program's path alone, worked out once for each, with its texts at hand. */
import { type BatchColumns, textCells } from '@bintrail/schemas/batch-columns.ts';
import { latin1, type Text } from '@bintrail/schemas/text-table.ts';
import type { ContainerNames, SeenContainer } from './containers/names.ts';
import type { EventsOut } from './events-out.ts';

/** Whose workload a cgroup is. Of a container, workload and image may still change until it `isSettled`. */
export type Place = {
  readonly containerId: string;
  workload: string;
  image: string;
  inExec: PlaceTexts;
  inExit: PlaceTexts;
  isSettled: boolean;
  /** Calls back when it is settled: at once, or within the time that rows may wait. */
  readonly whenSettled: (callback: () => void) => void;
};

type PlaceTexts = { readonly workload: Text; readonly containerId: Text; readonly image: Text };

/** The columns of `placement`, as they are now. */
export function placementOf({ workload, containerId, image }: Place) {
  return { workload, container_id: containerId, image };
}

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

export type WorkloadOf = (cgroupPath: string) => SeenContainer & { readonly isUsers: boolean };

/** `names`: who is asked for the names of containers; without it they are called by their ids. */
export function createOrigins(out: EventsOut, workloadOf: WorkloadOf, names?: Pick<ContainerNames, 'find'>): Origins {
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
    const whose = workloadOf(path);
    const { containerId } = whose;
    const texts = ({ workload, image }: { workload: string; image: string }) => ({
      ...{ workload, image },
      inExec: inExec(workload, containerId, image),
      inExit: inExit(workload, containerId, image),
    });
    // What a user's own service says of a container is the user's word: it keeps its id.
    const name = containerId === '' || whose.isUsers ? undefined : names?.find(whose);
    if (name === undefined) {
      return { containerId, ...texts({ ...whose, image: '' }), isSettled: true, whenSettled: (callback) => callback() };
    }
    const place = { containerId, ...texts(name), isSettled: name.isSettled, whenSettled: name.whenSettled };
    if (!name.isSettled) name.whenSettled(() => Object.assign(place, texts(name), { isSettled: true }));
    return place;
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

function placeTexts(columns: BatchColumns): (workload: string, containerId: string, image: string) => PlaceTexts {
  const workloads = textCells(columns, 'workload').table;
  const containers = textCells(columns, 'container_id').table;
  const images = textCells(columns, 'image').table;
  return (workload, containerId, image) => ({
    workload: workloads.internLatin1(workload),
    containerId: containers.internLatin1(containerId),
    image: images.internLatin1(image),
  });
}
