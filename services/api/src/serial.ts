/** Runs one task at a time, in the order of the calls. */
export type Serial = <T>(task: () => Promise<T>) => Promise<T>;

/** The api is the only writer of its tables: with this it is also only one writer in its process. */
export function createSerial(): Serial {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const run = last.then(task, task);
    last = run.catch(() => undefined);
    return run;
  };
}
