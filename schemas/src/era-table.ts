/**
 * Entries found again by a hash, bounded: an era ends after so much was met in it, and what was not met in the era that
 * ended is forgotten. At most two eras' worth is held. Callers walk `buckets[hash & mask]` and compare for themselves.
 */

export type EraEntry<E> = { readonly hash: number; next: E | undefined; era: number };

export type EraTable<E> = {
  buckets: (E | undefined)[];
  mask: number;
  entries: number;
  era: number;
  /** What was met in this era, by the weights its entries were added with, and how much it may be. */
  weight: number;
  readonly eraWeight: number;
};

const FIRST_BUCKETS = 16;

export function createEraTable<E extends EraEntry<E>>(eraWeight: number): EraTable<E> {
  const buckets: (E | undefined)[] = Array(FIRST_BUCKETS).fill(undefined);
  return { buckets, mask: FIRST_BUCKETS - 1, entries: 0, era: 0, weight: 0, eraWeight };
}

export function addEntry<E extends EraEntry<E>>(table: EraTable<E>, entry: E, weight: number): void {
  place(table, entry);
  if (table.entries > 2 * table.buckets.length) rebuild(table, 2 * table.buckets.length, () => true);
  countEntry(table, entry, weight);
}

/** For an entry that was found and is of an era that ended: keeps it as if it were new. */
export function countEntry<E extends EraEntry<E>>(table: EraTable<E>, entry: E, weight: number): void {
  entry.era = table.era;
  table.weight += weight;
  if (table.weight < table.eraWeight) return;
  rebuild(table, table.buckets.length, (other) => other.era === table.era);
  table.era += 1;
  table.weight = 0;
}

function place<E extends EraEntry<E>>(table: EraTable<E>, entry: E): void {
  const bucket = entry.hash & table.mask;
  entry.next = table.buckets[bucket];
  table.buckets[bucket] = entry;
  table.entries += 1;
}

function rebuild<E extends EraEntry<E>>(table: EraTable<E>, size: number, isKept: (entry: E) => boolean): void {
  const old = table.buckets;
  table.buckets = Array(size).fill(undefined);
  table.mask = size - 1;
  table.entries = 0;
  for (const first of old) {
    for (let entry = first, next: E | undefined; entry !== undefined; entry = next) {
      next = entry.next;
      if (isKept(entry)) place(table, entry);
    }
  }
}
