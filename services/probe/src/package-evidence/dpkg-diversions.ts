/** dpkg-divert(1): a package's file lives under another name so that a second package can take its place. */

import { type RootLink, spellings } from './root-links.ts';

/** Everyone's `from` is installed as `to`, except that of the package `by`; a local diversion has `by` empty. */
export type Diversion = { readonly from: string; readonly to: string; readonly by: string };

export type Diversions = {
  readonly from: ReadonlyMap<string, Diversion>;
  readonly to: ReadonlyMap<string, Diversion>;
};

/** A name under which the database may know a file, and whose entry of that name means this file. */
export type Question = { readonly name: string; readonly means: (packageName: string) => boolean };

/** `text` is `/var/lib/dpkg/diversions`: three lines each, from, to, and the package or `:` for a local one. */
export function readDiversions(text: string): Diversions {
  const from = new Map<string, Diversion>();
  const to = new Map<string, Diversion>();
  const lines = text.split('\n');
  for (let line = 0; line + 2 < lines.length; line += 3) {
    const [source = '', target = '', owner = ''] = lines.slice(line, line + 3);
    const diversion = { from: source, to: target, by: owner === ':' ? '' : owner };
    from.set(source, diversion);
    to.set(target, diversion);
  }
  return { from, to };
}

/**
 * All entries that may stand for the file at `path`. Diversions are taken by the letter, as dpkg does: one of `/bin/sh`
 * says nothing about an entry `/usr/bin/sh`, even where both are one file.
 */
export function questionsFor(path: string, links: readonly RootLink[], diversions: Diversions): Question[] {
  const questions: Question[] = [];
  for (const name of spellings(path, links)) {
    const away = diversions.from.get(name);
    questions.push({ name, means: away ? (owner) => owner === away.by : () => true });
    const here = diversions.to.get(name);
    if (here) questions.push({ name: here.from, means: (owner) => owner !== here.by });
  }
  return questions;
}
