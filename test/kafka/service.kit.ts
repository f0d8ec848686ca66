/** A stage as the process an operator starts, for tests over Kafka. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export type Service = {
  readonly name: string;
  readonly child: ChildProcess;
  /** Where `/readyz` and the others listen: a free port, which the log tells. */
  readonly url: string;
};

/** Resolves once it logs that it is `up`, or `starting` if that is enough; rejects with its log when it ends before. */
export async function startService(
  t: TestContext,
  name: string,
  env: Readonly<Record<string, string>>,
  since: 'starting' | 'up' = 'up',
): Promise<Service> {
  const main = fileURLToPath(new URL(`../../services/${name}/src/main.ts`, import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, BINTRAIL_OPS_PORT: '0', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const said = new RegExp(`"url":"(http:[^"]+)","msg":"${since}"`);
  const url = await new Promise<string>((resolve, reject) => {
    let printed = '';
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}: ${printed}`)));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      const [, found] = said.exec(printed) ?? [];
      if (found !== undefined) resolve(found);
    });
  });
  return { name, child, url };
}

export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const givesUpMs = performance.now() + 60_000;
  while (!(await holds())) {
    assert(performance.now() < givesUpMs, `never happened: ${what}`);
    await delay(100);
  }
}

export async function untilReady({ name, url }: Service): Promise<void> {
  await until(`${name} is ready`, async () => (await fetch(`${url}/readyz`)).status === 200);
}

/** Whether `/healthz` says so. */
export async function hasState({ url }: Service, state: string): Promise<boolean> {
  return ((await (await fetch(`${url}/healthz`)).json()) as { state: string }).state === state;
}

/** The numbers an operator has of a stage that reads a topic; each must be there, also before the first record. */
export async function stageNumbers({ name, url }: Service, topic: string, stage = name) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const read = (metric: string): number => {
    const line = text
      .split('\n')
      .find((each) => each.startsWith(`bintrail_stage_${metric}{stage="${stage}",topic="${topic}"}`));
    assert(line !== undefined, `${stage} shows no ${metric} of ${topic}`);
    return Number(line.split(' ')[1]);
  };
  return {
    ...{ in: read('in_total'), out: read('out_total'), dead: read('dead_total'), retries: read('retries_total') },
    ...{ lag: read('lag_records'), oldestUnackedSeconds: read('oldest_unacked_seconds') },
    ...{ batches: read('batch_records_count'), records: read('batch_records_sum') },
  };
}
