/** The judgement over many sightings, with what it needs besides each of them. */
import type { CompiledApprovals } from '@bintrail/analysis/approvals.ts';
import { judge, WEAK_IN_TIMING } from '@bintrail/analysis/judge.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { STRONG } from '@bintrail/schemas/digest-words.ts';
import { printable } from '@bintrail/schemas/printable.ts';
import type { Sighting, Verdict } from '@bintrail/schemas/sighting.ts';

export type Judging = { readonly approvals: CompiledApprovals; readonly nowMs: number };

// A parameter holds 128 KiB: 1,900 digests.
const DIGESTS_PER_QUERY = 1000;

/**
 * A verdict for each sighting, in their order. A digest that is weak only in its timing borrows from a strong sighting
 * of the same content in the same workload, whenever and wherever that was: windows and nodes do not change a verdict.
 */
export async function judgeSightings(
  store: Store,
  sightings: readonly Sighting[],
  { approvals, nowMs }: Judging,
): Promise<Verdict[]> {
  const strong = await readStrong(store, sightings);
  return sightings.map((sighting) => judge(sighting, approvals, nowMs, strong.has(keyOf(sighting))));
}

async function readStrong(store: Store, sightings: readonly Sighting[]): Promise<ReadonlySet<string>> {
  const weak = sightings.filter(({ digest_strength }) => WEAK_IN_TIMING.includes(digest_strength));
  const digests = [...new Set(weak.map(({ sha256 }) => sha256))];
  const strong = new Set<string>();
  for (let from = 0; from < digests.length; from += DIGESTS_PER_QUERY) {
    const rows = await store.query<{ sha: string; workload_hex: string }>(
      `SELECT DISTINCT lower(hex(sha256)) AS sha, hex(workload) AS workload_hex FROM sightings
       WHERE sha256 IN (SELECT toFixedString(unhex(arrayJoin({digests:Array(String)})), 32))
         AND digest_strength IN ({strong:Array(String)})`,
      { digests: digests.slice(from, from + DIGESTS_PER_QUERY), strong: STRONG },
    );
    for (const { sha, workload_hex } of rows) {
      strong.add(keyOf({ sha256: sha, workload: printable(Buffer.from(workload_hex, 'hex')) }));
    }
  }
  return strong;
}

function keyOf({ sha256, workload }: Pick<Sighting, 'sha256' | 'workload'>): string {
  return `${sha256} ${workload}`;
}
