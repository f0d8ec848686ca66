/** Waits until nothing is under way any more, for so long and no longer, and says what it waited for. */
import { setTimeout as delay } from 'node:timers/promises';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { eventually } from '../src/e2e/bintrail.ts';
import type { System } from './system.ts';

const QUIET_MS = 90_000;
const GROUPS = [
  [TOPICS.events, 'ingest'],
  [TOPICS.events, 'detect'],
  [TOPICS.findings, 'ingest-findings'],
  [TOPICS.findings, 'notify'],
] as const;

/** @throws with what was not done by then */
export async function quiet(system: System): Promise<void> {
  const untilMs = performance.now() + QUIET_MS;
  for (;;) {
    const left = await leftToDo(system);
    if (left.length === 0) return;
    if (performance.now() > untilMs) throw new Error(`not quiet within ${QUIET_MS} ms: ${left.join(', ')}`);
    await delay(300);
  }
}

/**
 * Waits until the probe's outbox is empty, as what is left in it at a stop is told by the next probe, and until nothing
 * waits in its memory: while that is full the newest rows are dropped, and the last word of a probe is the newest.
 */
export async function handedOver({ crews }: System): Promise<void> {
  const [probe] = crews.get('probe')!;
  await eventually('the probe has handed all over', QUIET_MS, async () => {
    const { outbox, waiting } = (await probe!.health().catch(() => undefined)) ?? {};
    return outbox === 0 && waiting === 0 ? true : undefined;
  });
}

async function leftToDo({ bus, crews }: System): Promise<string[]> {
  const left: string[] = [];
  for (const [topic, group] of GROUPS) {
    const behind = await bus.lag(topic, group).then(
      ({ records }) => records,
      (error: Error) => error.message,
    );
    if (behind !== 0) left.push(`${group} is behind by ${behind}`);
  }
  // Whoever was told last, tells: asked for only when no finding is on its way to it.
  for (const copy of crews.get('notify')!) {
    const { waiting } = await copy.health().catch(() => ({ waiting: 'no answer' }));
    if (waiting !== 0) left.push(`notify has ${waiting} to tell`);
  }
  return left;
}
