/** What is told of an executable, whoever asks: its verdict, and what its sightings have in common. */
import type { CombinedVerdict } from '@bintrail/analysis/worst.ts';
import { PACKAGE_MATCHES } from '@bintrail/schemas/digest-words.ts';
import { VERDICTS } from '@bintrail/schemas/sighting.ts';
import { z } from '@hono/zod-openapi';
import type { SeenSighting } from './findings/facts.ts';
import { MAX_KINDS } from './queries/executables.ts';
import type { RefsOf } from './queries/image-refs.ts';
import { rfc3339FromNs, timeText } from './time.ts';

/** Names shown of each kind, the most frequent first; a count beside them says how many there are. */
export const MAX_NAMES = 20;

const names = z.array(z.string()).describe(`The most frequent first, at most ${MAX_NAMES}.`);

export const verdictAnswer = z
  .object({
    value: z
      .enum(VERDICTS)
      .describe('The worst over the sightings asked for (of a finding: over all), by the approvals of now.'),
    why: z.string(),
    approval_id: z.string().nullable(),
    verdicts: z.object(Object.fromEntries(VERDICTS.map((value) => [value, z.int()])) as Record<string, z.ZodInt>),
  })
  .openapi('Verdict');

export const executableFields = {
  verdict: verdictAnswer,
  roles: z.array(z.string()),
  paths: names,
  path_count: z.int(),
  packages: z
    .array(z.object({ name: z.string(), version: z.string(), match: z.enum(PACKAGE_MATCHES) }))
    .describe(`Packages that own its paths, and whether the content is what they record; at most ${MAX_NAMES}.`),
  images: names,
  image_count: z.int(),
  image_refs: names.describe(
    `What those images are called by whoever starts containers from them, at most ${MAX_NAMES}.`,
  ),
  strengths: z.record(z.string(), z.int()).describe('How sure the digest is: sightings by strength.'),
  first_seen: timeText,
  last_seen: timeText,
  truncated: z
    .boolean()
    .describe(`More than ${MAX_KINDS} kinds of sightings: verdict, names and counts are of the most frequent ones.`),
};

export type ExecutableFacts = {
  readonly seen: readonly SeenSighting[];
  readonly verdict: CombinedVerdict;
  readonly truncated: boolean;
};

export function executableAnswer({ seen, verdict, truncated }: ExecutableFacts, refsOf: RefsOf) {
  const { paths, images } = { paths: tally(seen, ({ path }) => path), images: tally(seen, ({ image }) => image) };
  return {
    verdict: { ...verdict, verdicts: { ...verdict.verdicts } },
    roles: [...tally(seen, ({ role }) => role).keys()],
    paths: firstOf(paths),
    path_count: paths.size,
    packages: packagesOf(seen),
    images: firstOf(images),
    image_count: images.size,
    image_refs: [...new Set(firstOf(images).flatMap(refsOf))].slice(0, MAX_NAMES),
    strengths: Object.fromEntries(tally(seen, ({ digest_strength }) => digest_strength)),
    first_seen: rfc3339FromNs(inOrder(seen.map(({ firstNs }) => firstNs))[0]!),
    last_seen: rfc3339FromNs(inOrder(seen.map(({ lastNs }) => lastNs)).at(-1)!),
    truncated,
  };
}

function inOrder(times: readonly bigint[]): bigint[] {
  return times.toSorted((a, b) => (a < b ? -1 : 1));
}

export function countOf(seen: readonly SeenSighting[]): number {
  return seen.reduce((sum, { n }) => sum + n, 0);
}

/** How often each text was seen, the most frequent first; the empty one is left out. */
export function tally(
  seen: readonly SeenSighting[],
  textOf: (sighting: SeenSighting['sighting']) => string,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { sighting, n } of seen) {
    const text = textOf(sighting);
    if (text !== '') counts.set(text, (counts.get(text) ?? 0) + n);
  }
  return new Map([...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)));
}

export function firstOf(counts: ReadonlyMap<string, number>): string[] {
  return [...counts.keys()].slice(0, MAX_NAMES);
}

function packagesOf(seen: readonly SeenSighting[]) {
  const owned = seen.filter(({ sighting }) => sighting.package_match !== '');
  const keys = tally(owned, (one) => JSON.stringify([one.package, one.package_version, one.package_match]));
  return firstOf(keys).map((key) => {
    const [name, version, match] = JSON.parse(key) as [string, string, (typeof PACKAGE_MATCHES)[number]];
    return { name, version, match };
  });
}

/** The images that {@link executableAnswer} names of all these. */
export function imagesOf(executables: readonly Pick<ExecutableFacts, 'seen'>[]): Set<string> {
  return new Set(executables.flatMap(({ seen }) => firstOf(tally(seen, ({ image }) => image))));
}
