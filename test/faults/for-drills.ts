import { whyNoKafka } from '../kafka/broker.ts';
import { whyNotHere } from '../src/kernel/probe-kit.ts';

/** Why fault drills cannot run on this machine; undefined when they can. They kill brokers, so KAFKA_BROKERS is no help. */
export function whyNoDrills(): string | undefined {
  return whyNotHere() ?? whyNoKafka();
}
