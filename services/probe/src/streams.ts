/** Streams in which the probe numbers the events it makes itself: part of their identity, so new ones are only appended. */
export const STREAM = { load: 0, digest: 1, loss: 2, heartbeat: 3, census: 4, container: 5 } as const;

/** The next number of a stream, from 0. */
export function createStreams(): (stream: number) => bigint {
  const next: bigint[] = [];
  return (stream) => {
    const seq = next[stream] ?? 0n;
    next[stream] = seq + 1n;
    return seq;
  };
}
