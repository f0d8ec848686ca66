/** What the bus took, read anew: what nobody else may lose. */

import { type Delivery, decodeDelivery } from '@bintrail/notify/delivery.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { NODE } from './system.ts';

export type Taken = {
  /** Of the real probe, each message once. */
  readonly real: readonly Batch[];
  /** Of the simulated fleet, each message once. */
  readonly fleet: readonly Batch[];
  /** Messages that came again. */
  readonly repeats: number;
  /** Every record of every alert that the topic still holds, in order. */
  readonly deliveries: readonly Delivery[];
};

export async function takeFromBus(bus: Bus): Promise<Taken> {
  const batches = new Map<string, Batch>();
  let records = 0;
  const events = await bus.follow(TOPICS.events, (some) => {
    for (const { value } of some) {
      const decoded = decodeBatch(value);
      if (!decoded.ok) throw new Error(`the bus holds no message: ${decoded.reason}: ${decoded.detail}`);
      const { node, probeEpoch, batchSeq } = decoded.batch;
      batches.set(`${node}:${probeEpoch}:${batchSeq}`, decoded.batch);
      records += 1;
    }
  });
  await events.close();
  const deliveries: Delivery[] = [];
  const told = await bus.follow(TOPICS.deliveries, (some) => {
    for (const { value } of some) deliveries.push(decodeDelivery(value)!);
  });
  await told.close();
  const all = [...batches.values()];
  return {
    real: all.filter(({ node }) => node === NODE),
    fleet: all.filter(({ node }) => node !== NODE),
    repeats: records - all.length,
    deliveries,
  };
}
