import { Problem } from './problem.ts';

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

/** What a copy that only reads does with changes: it says where they go. */
export function refuseChanges(writerUrl: string): Serial {
  const detail = `This copy of the api only reads; changes go to ${writerUrl}, with the same path and token.`;
  return () => Promise.reject(new Problem('changes-elsewhere', detail));
}
