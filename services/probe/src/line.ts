/** A queue that anything in it may leave. */
export type Line<T> = {
  /** At the end; nothing happens when it waits already. */
  readonly add: (item: T) => void;
  /** False when it did not wait. */
  readonly remove: (item: T) => boolean;
  /** The one that waits for longest. */
  readonly first: () => T | undefined;
  readonly size: () => number;
};

export function createLine<T>(): Line<T> {
  const items = new Set<T>();
  // It stands where the last first one was: a new one would step over all that left since the table last grew.
  let walk = items.values();
  let head: T | undefined;
  return {
    add: (item) => void items.add(item),
    remove(item) {
      if (item === head) head = undefined;
      return items.delete(item);
    },
    first() {
      if (head !== undefined || items.size === 0) return head;
      const step = walk.next();
      if (!step.done) {
        head = step.value;
        return head;
      }
      // It had come to the end before these were added, and says so for ever.
      walk = items.values();
      head = walk.next().value as T;
      return head;
    },
    size: () => items.size,
  };
}
