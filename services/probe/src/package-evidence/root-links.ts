/**
 * Merged /usr: `/bin` is a link to `usr/bin`, the kernel says `/usr/bin/true`, and the package may have recorded either.
 * Only links that sit directly in the root count; packages do not own files through deeper ones.
 */

import { readdirSync, readlinkSync } from 'node:fs';
import { attempt } from './rooted-files.ts';

/** `name` is the link in the root (`bin`), `target` where it leads, from the root on (`/usr/bin`). */
export type RootLink = { readonly name: string; readonly target: string };

/** A Debian root has 4 to 7 such links. More than this is no merged /usr, and each is one more spelling to look up. */
const MAX_LINKS = 32;

/** `rootFd` is a descriptor of the root. A link that cannot be read, or leads back to the root, is left out. */
export function readRootLinks(rootFd: number): RootLink[] {
  const links: RootLink[] = [];
  const entries = attempt(() => readdirSync(`/proc/self/fd/${rootFd}/`, { withFileTypes: true, encoding: 'buffer' }));
  if (typeof entries === 'string') return links;
  for (const entry of entries) {
    if (!entry.isSymbolicLink() || links.length === MAX_LINKS) continue;
    const target = linkTarget(rootFd, entry.name);
    if (target !== undefined) links.push({ name: entry.name.toString('latin1'), target });
  }
  return links;
}

function linkTarget(rootFd: number, name: Buffer): string | undefined {
  const path = Buffer.concat([Buffer.from(`/proc/self/fd/${rootFd}/`), name]);
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
