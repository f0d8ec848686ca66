import { createRequire } from 'node:module';

type RequestQueue = {
  pending: readonly unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  scheduleCheckPendingRequests(): void;
};
const require = createRequire(import.meta.url);

let done = false;

/**
 * kafkajs 2.2.4 looks at each connection's queue on a timer whose time it computes as "throttled until" minus now: a
 * large negative number when nothing is throttled. Node takes that for 1 ms (and warns of it once), so every connection
 * that ever had two requests at a time polls an empty queue a thousand times a second, for ever. A queue without work
 * needs no timer: a request that arrives, and an answer that makes room, look by themselves.
 */
export function stopIdlePolling(): void {
  if (done) return;
  done = true;
  const { prototype } = require('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue };
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
}
