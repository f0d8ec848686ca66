/**
 * Merged /usr: `/bin` is a link to `usr/bin`, the kernel says `/usr/bin/true`, and the package may have recorded either.
 * Only links that sit directly in the root count; packages do not own files through deeper ones.
 */

import { readlinkSync } from 'node:fs';
import { attempt, namesIn } from './rooted-files.ts';

/** `name` is the link in the root (`bin`), `target` where it leads, from the root on (`/usr/bin`). */
export type RootLink = { readonly name: string; readonly target: string };

/** A Debian root has 4 to 7 such links. More than this is no merged /usr, and each is one more spelling to look up. */
const MAX_LINKS = 32;
/** No root has more entries, unless somebody wants us to read them. */
const MAX_ENTRIES = 4_096;

/** `rootFd` is a descriptor of the root. A link that cannot be read, or leads back to the root, is left out. */
export function readRootLinks(rootFd: number): RootLink[] {
  const links: RootLink[] = [];
  for (const name of namesIn(rootFd, MAX_ENTRIES)) {
    const target = links.length < MAX_LINKS ? linkTarget(rootFd, name) : undefined;
    if (target !== undefined) links.push({ name, target });
  }
  return links;
}

/** undefined for what is no link, too. */
function linkTarget(rootFd: number, name: string): string | undefined {
  const path = Buffer.from(`/proc/self/fd/${rootFd}/${name}`, 'latin1');
  const text = attempt(() => readlinkSync(path, { encoding: 'buffer' }));
  if (typeof text === 'string') return undefined;
  const parts: string[] = [];
  for (const part of text.toString('latin1').split('/')) {
    // Above the root is the root.
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.length === 0 ? undefined : `/${parts.join('/')}`;
}

/** Every name a path may have been recorded by, itself first: through each link and back from each link's target. */
export function spellings(path: string, links: readonly RootLink[]): string[] {
  const known = new Set([path]);
  for (const { name, target } of links) {
    if (path.startsWith(`/${name}/`)) known.add(target + path.slice(name.length + 1));
  }
  for (const spelling of [...known]) {
    for (const { name, target } of links) {
      if (spelling.startsWith(`${target}/`)) known.add(`/${name}${spelling.slice(target.length)}`);
    }
  }
  return [...known];
}
