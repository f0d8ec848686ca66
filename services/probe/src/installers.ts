/** Which program images are package managers: what they write is how software comes in, not something dropped. */
import { createLru } from '@bintrail/runtime/lru.ts';
import { type DigestStrength, STRONG } from '@bintrail/schemas/digest-words.ts';
import type { ImageId } from './image-table.ts';

/** Packages, by name, whose programs put files of packages in place: of Debian, Red Hat, SUSE, Alpine and Arch. */
const MANAGERS = new Set([
  'dpkg',
  'apt',
  'rpm',
  'dnf',
  'dnf5',
  'microdnf',
  'yum',
  'libzypp',
  'zypper',
  'apk-tools',
  'pacman',
]);
const MAX_INSTALLERS = 4_096;

export type Installers = {
  readonly note: (id: ImageId) => void;
  readonly has: (id: ImageId) => boolean;
};

/** What is forgotten, or ran before the probe, counts as any other program. */
export function createInstallers(): Installers {
  const known = createLru<string, true>(MAX_INSTALLERS);
  const keyOf = ({ pid, start_ns, self_exec_id }: ImageId) => `${pid}:${start_ns}:${self_exec_id}`;
  return {
    note: (id) => known.set(keyOf(id), true),
    has: (id) => known.touch(keyOf(id)) !== undefined,
  };
}

/** By package and content, never by a name that anybody may give a file. `name` is manager:name:architecture. */
export function isInstallerPackage(name: string, match: string): boolean {
  return match === 'match' && MANAGERS.has(name.split(':')[1] ?? '');
}

export type Evidence = { readonly package: string; readonly package_match: string; readonly digest_strength: string };

/** A weak digest proves nothing of what ran. */
export function isInstaller({ package: name, package_match, digest_strength }: Evidence): boolean {
  return STRONG.includes(digest_strength as DigestStrength) && isInstallerPackage(name, package_match);
}
