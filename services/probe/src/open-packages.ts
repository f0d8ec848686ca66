/** The package databases the probe asks: the host's, and those of the containers on it. */
import { existsSync } from 'node:fs';
import type { Log } from '@bintrail/runtime/log.ts';
import type { NamesFile } from './named-file.ts';
import { openDpkg } from './package-evidence/dpkg.ts';
import { createPackageReader } from './package-evidence/package-reader.ts';
import {
  type ContainerOwners,
  createContainerOwners,
  createForeignHostOwners,
  createHostOwners,
  type OwnersOf,
} from './packages.ts';

export type Packages = {
  readonly ownersOf: OwnersOf;
  /** A process of a container that was there before the probe. */
  readonly noteProcess: ContainerOwners['noteProcess'];
  readonly close: () => Promise<void>;
};

export type PackagesOptions = {
  readonly describeProgramFd: number;
  readonly namesFile: NamesFile;
  /** The host's mount namespace: what runs there has the host's files, in whatever cgroup (a runtime's own starts). */
  readonly hostMounts: number;
  readonly log: Log;
};

/** Reads the host's database where it is dpkg's, so that the first programs need not wait for it. */
export async function openPackages(options: PackagesOptions): Promise<Packages> {
  const { describeProgramFd, namesFile, hostMounts, log } = options;
  const reader = createPackageReader({ describeProgramFd }, log);
  const containers = createContainerOwners(reader.ask);
  const ofHost = existsSync('/var/lib/dpkg/status')
    ? await openHostDpkg(namesFile)
    : createForeignHostOwners(reader.ask);
  return {
    ownersOf: (asked) =>
      asked.container_id === '' || asked.mnt_ns === hostMounts ? ofHost(asked) : containers.ownersOf(asked),
    noteProcess: containers.noteProcess,
    close: reader.close,
  };
}

async function openHostDpkg(namesFile: NamesFile): Promise<OwnersOf> {
  const dpkg = openDpkg('/');
  await dpkg.ownersOf('/');
  return createHostOwners(dpkg, namesFile);
}
