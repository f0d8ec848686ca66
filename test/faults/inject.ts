/** Makes what a drill plans happen, and ends it. What was killed is started again when it resolves, and not up yet. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { readFaults } from '../src/slack-receiver.ts';
import type { Drill, Fault, Rebalanced, Target } from './plan.ts';
import type { Supervised } from './supervised.ts';
import type { System } from './system.ts';

const run = promisify(execFile);
/** The probe keeps 8 KiB of the arguments of an exec: these fill memory and file of its outbox twice. */
const BURST_EXECS = 700;
const ARGUMENT_BYTES = 750;
const ARGUMENTS = 8;

export async function inject(system: System, { fault, which }: Drill): Promise<void> {
  switch (fault.kind) {
    case 'kill':
      return killFor(system, fault.target, fault.forMs, which);
    case 'pause':
      return pauseFor(system, fault.target, fault.forMs, which);
    case 'rebalance':
      return rebalance(system, fault.target, fault.forMs, which);
    case 'slack':
      return system.slack.fail(...readFaults(fault.faults.map((name) => (name === '429' ? '429:1' : name)).join(',')));
    case 'outbox':
      return fillOutbox(system, fault);
  }
}

const oneOf = <T>(items: readonly T[], which: number): T => items[Math.floor(which * items.length)]!;

function processOf(system: System, target: Exclude<Target, 'broker'>, which: number): Supervised {
  return target === 'clickhouse' ? system.engine.process : oneOf(system.crews.get(target)!, which);
}

async function killFor(system: System, target: Target, forMs: number, which: number): Promise<void> {
  if (target === 'broker') {
    const node = oneOf(system.kafka.nodes, which);
    await system.brokers.started(node);
    await node.signal('SIGKILL');
    await delay(forMs);
    return system.brokers.start(node);
  }
  const victim = processOf(system, target, which);
  await victim.kill();
  await delay(forMs);
  victim.start();
}

async function pauseFor(system: System, target: Target, forMs: number, which: number): Promise<void> {
  const signal =
    target === 'broker'
      ? (name: 'SIGSTOP' | 'SIGCONT') => oneOf(system.kafka.nodes, which).signal(name)
      : async (name: 'SIGSTOP' | 'SIGCONT') => processOf(system, target, which).signal(name);
  await signal('SIGSTOP');
  await delay(forMs);
  await signal('SIGCONT');
}

async function rebalance(system: System, stage: Rebalanced, forMs: number, which: number): Promise<void> {
  const crew = system.crews.get(stage)!;
  const another = await system.newCopy(stage);
  another.start();
  await delay(forMs);
  const all = [...crew, another];
  const leaving = oneOf(all, which);
  const code = await leaving.stop();
  if (code !== 0 && code !== null) throw new Error(`${stage} was asked to end and ended with ${code}`);
  crew.splice(0, crew.length, ...all.filter((copy) => copy !== leaving));
}

async function fillOutbox(system: System, { forMs }: Extract<Fault, { kind: 'outbox' }>): Promise<void> {
  const { nodes } = system.kafka;
  await system.brokers.allStarted();
  await Promise.all(nodes.map((node) => node.signal('SIGKILL')));
  const pauseMs = forMs / BURST_EXECS;
  for (let n = 0; n < BURST_EXECS; n += 1) {
    const words = Array.from({ length: ARGUMENTS }, () => randomBytes(ARGUMENT_BYTES).toString('base64'));
    await run('/bin/true', words);
    await delay(pauseMs);
  }
  const { outbox, dropped } = await system.crews.get('probe')![0]!.health();
  for (const node of nodes) system.brokers.start(node);
  if (!(Number(outbox) > 0 && Number(dropped) > 0))
    throw new Error(`the outbox was to run full: ${outbox} messages in it, ${dropped} rows dropped`);
}
