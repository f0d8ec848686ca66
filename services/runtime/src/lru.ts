/** A map that forgets what was not set or touched for longest once it holds more than `capacity` entries. */
export type Lru<K, V> = {
  /** Looks without touching. */
  get(key: K): V | undefined;
  /** Looks, and keeps the entry as if it were new. */
  touch(key: K): V | undefined;
  set(key: K, value: V): void;
  readonly size: number;
};

export function createLru<K, V>(capacity: number): Lru<K, V> {
  // A Map iterates in the order of insertion: its first key is the oldest. One iterator for good, which stands where the last
  // was forgotten: a new one would step over everything that was deleted since the table last grew.
  const entries = new Map<K, V>();
  const oldest = entries.keys();
  const set = (key: K, value: V): void => {
    entries.delete(key);
    entries.set(key, value);
    if (entries.size > capacity) entries.delete(oldest.next().value as K);
  };
  return {
    get: (key) => entries.get(key),
    touch(key) {
      const value = entries.get(key);
      if (value !== undefined) set(key, value);
      return value;
    },
    set,
    get size() {
      return entries.size;
    },
  };
}
