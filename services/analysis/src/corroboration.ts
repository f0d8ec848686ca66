import type { Sighting } from '@bintrail/schemas/sighting.ts';
import { isStrong } from './judge.ts';

/**
 * Which content was seen with strong evidence in which workload, as a question: may this sighting count as strong?
 * Compiling a program and running it at once gives weak evidence, every later start strong: without this an approved
 * program would stay unapproved for its first start.
 */
export function corroborationOf(sightings: Iterable<Sighting>): (sighting: Sighting) => boolean {
  const strong = new Set<string>();
  for (const sighting of sightings) {
    if (isStrong(sighting)) strong.add(corroborationKey(sighting));
  }
  return (sighting) => strong.has(corroborationKey(sighting));
}

export function corroborationKey({ sha256, workload }: Sighting): string {
  return `${sha256} ${workload}`;
}
