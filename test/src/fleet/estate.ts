/** What a simulated fleet runs: workloads on nodes, the image each is deployed from, and the programs in it. */
import { createHash } from 'node:crypto';

export type Program = {
  readonly path: string;
  /** 32 characters of latin1. */
  readonly sha256: string;
  /** Empty when no package owns it. */
  readonly package: string;
  readonly ino: bigint;
};

export type Workload = {
  readonly id: string;
  readonly cgroupPath: string;
  /** Counts the rollouts; each makes another image. */
  version: number;
  image: string;
  programs: Program[];
};

export type Estate = {
  readonly workloads: readonly Workload[];
  /** Deploys the next version of a workload: some of its programs are other bytes at the same path. */
  readonly rollOut: (workload: Workload) => void;
};

const PROGRAMS_A_WORKLOAD = 40;
/** Programs that come with the distribution's packages, the same in all images. */
const SHARED = 30;
/** How much of a workload's own programs a new version changes. */
const CHANGED_SHARE = 0.3;
/** Of a workload's own programs, those nobody packaged. */
const UNPACKAGED_SHARE = 0.5;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('latin1');
const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** An estate of so many workloads; `random` decides all of it. */
export function createEstate(workloadCount: number, random: () => number): Estate {
  let inode = 1_000n;
  const program = (path: string, content: string, packaged: string): Program => {
    inode += 1n;
    return { path, sha256: sha256(content), package: packaged, ino: inode };
  };
  const shared = Array.from({ length: SHARED }, (_, index) =>
    program(`/usr/bin/tool-${index}`, `tool ${index}`, `dpkg:tools-${index % 8}:amd64`),
  );
  const own = (name: string, index: number, version: number): Program =>
    program(
      `/app/bin/${name}-${index}`,
      `${name} ${index} ${version}`,
      random() < UNPACKAGED_SHARE ? '' : `dpkg:${name}:amd64`,
    );
  const workloads = Array.from({ length: workloadCount }, (_, index): Workload => {
    const name = `service-${index}`;
    const ownPrograms = Array.from({ length: PROGRAMS_A_WORKLOAD - SHARED }, (__, at) => own(name, at, 0));
    return {
      id: `k8s/team-${index % 7}/deployment/${name}/main`,
      cgroupPath: `/kubepods.slice/pod-${name}.slice/cri-containerd-${sha256Hex(name)}.scope`,
      ...{ version: 0, image: `sha256:${sha256Hex(`${name} 0`)}`, programs: [...ownPrograms, ...shared] },
    };
  });
  const rollOut = (workload: Workload): void => {
    workload.version += 1;
    const name = `service-${workloads.indexOf(workload)}`;
    workload.image = `sha256:${sha256Hex(`${name} ${workload.version}`)}`;
    workload.programs = workload.programs.map((old, at) =>
      at < PROGRAMS_A_WORKLOAD - SHARED && random() < CHANGED_SHARE ? own(name, at, workload.version) : old,
    );
  };
  return { workloads, rollOut };
}
