/** Who owns a path by a database of package records: the index proposes, the record itself, read again, decides. */
import type { Owner } from './evidence.ts';
import type { PackageSource } from './package-record.ts';
import { buildTable, type HashSeed, hashPath, type PathTable, type Segment } from './path-table.ts';

export type RecordIndex = {
  readonly seed: HashSeed;
  readonly table: PathTable;
  /** Position of the package of each segment. */
  readonly positions: readonly number[];
  /** Packages that could not be understood. */
  readonly unusable: number;
  /** Packages or paths were left out because there are too many. */
  readonly isCut: boolean;
};

/** Two paths share one only by chance, and several packages one path only across architectures. */
const MAX_OWNERS = 16;
const MAX_PACKAGES = 32_000;
/** 16 bytes each. A large Fedora desktop has 500 thousand. */
export const MAX_PATHS = 2 ** 20;

/** `isOverdue` is asked after each package: what remains is then left out. */
export function buildIndex(source: PackageSource, seed: HashSeed, isOverdue: () => boolean): RecordIndex {
  const [positions, segments]: [number[], Segment[]] = [[], []];
  let [pathsLeft, unusable, isCut] = [MAX_PATHS, 0, false];
  for (const { at, found } of source.packages()) {
    if (found === undefined) {
      unusable += 1;
      continue;
    }
    isCut = found.files.length > pathsLeft || positions.length === MAX_PACKAGES || isOverdue();
    if (isCut) break;
    pathsLeft -= found.files.length;
    positions.push(at);
    segments.push({
      hashes: Uint32Array.from(found.files, ({ path }) => hashPath(path, seed)),
      offsets: Uint32Array.from(found.files.keys()),
    });
  }
  return { seed, table: buildTable(segments), positions, unusable, isCut };
}

export type Asked = {
  /** Every spelling of the path that the database may have. */
  readonly names: readonly string[];
  /** When the database reached its filesystem, Unix ms. */
  readonly recordedAtMs: number;
  readonly sealed: boolean;
};

/** `source` is the database the index was built from. At most 16, those with a digest first. */
export function findOwners(index: RecordIndex, source: PackageSource, { names, ...about }: Asked): Owner[] {
  const owners: Owner[] = [];
  for (const name of names) {
    for (const { segment, offset } of index.table.find(hashPath(name, index.seed))) {
      const found = owners.length < MAX_OWNERS ? source.packageAt(index.positions[segment]!) : undefined;
      const file = found?.files[offset];
      if (found === undefined || file?.path !== name) continue;
      const { record, algorithm, digest } = file;
      const { name: packageName, version, architecture } = found;
      owners.push({
        ...{ manager: source.manager, package: packageName, version, architecture, comparedPath: name },
        ...{ record, algorithm, digest, settled: true, ...about },
      });
    }
  }
  return owners.sort((a, b) => Number(a.digest === '') - Number(b.digest === ''));
}
