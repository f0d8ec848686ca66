import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire } from 'node:module';

type ConsumerGroup = { joinAndSync(): Promise<void> };
const require = createRequire(import.meta.url);

/** What is to be done before a member of this consumer joins its group again. */
const before = new AsyncLocalStorage<() => Promise<void>>();
let done = false;

/**
 * Runs kafkajs' consumer so that `work` is waited for before each JoinGroup: until that is sent the group waits for this
 * member, and its partitions are nobody else's. kafkajs 2.2.4 tells of a rebalance, and joins without waiting for who was
 * told. The first join of a consumer is one too.
 */
export function beforeEachJoin<T>(work: () => Promise<void>, run: () => T): T {
  patch();
  return before.run(work, run);
}

function patch(): void {
  if (done) return;
  done = true;
  const { prototype } = require('kafkajs/src/consumer/consumerGroup.js') as { prototype: ConsumerGroup };
  const join = prototype.joinAndSync;
  prototype.joinAndSync = async function (this: ConsumerGroup) {
    await before.getStore()?.();
    return join.call(this);
  };
}
