import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { newLocation } from '@bintrail/runtime/bus.contract.kit.ts';
import { startTestEngine } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import { eventually, startBintrail, whyNotHere } from '../src/e2e/bintrail.ts';
import { connectionOf } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';

const BPF_OBJECT = new URL('../../bpf/build/bintrail.bpf.o', import.meta.url);
const skip = whyNotHere() ?? (existsSync(BPF_OBJECT) ? false : 'the probe is not compiled');

test('npm start with KAFKA_BROKERS and CLICKHOUSE_URL uses those, and finds what runs here', { skip }, async (t) => {
  const brokers = await kafkaForTests();
  const engine = await startTestEngine();
  t.after(engine.remove);
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-start-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { url, username, password, database } = engine;
  const home = join(folder, 'home');
  const bintrail = await startBintrail(home, {
    KAFKA_BROKERS: brokers,
    KAFKA_PREFIX: connectionOf(await newLocation()).prefix,
    CLICKHOUSE_URL: `${url.replace('//', `//${username}:${password}@`)}/${database}`,
  });
  const program = join(folder, 'told-by-kafka');
  copyFileSync('/bin/true', program);
  execFileSync(program);
  const finding = await eventually('the finding of the program', 60_000, async () => {
    const { json } = await bintrail.get('/v1/findings?state=open');
    return json.items.find(({ path }: { path: string }) => path === program);
  });
  assert.equal(finding.rule, 'unapproved-binary');
  assert(!readdirSync(home).some((name) => name.startsWith('bus.db')));
  assert.equal(await bintrail.stop(), 0, bintrail.output());
  assert(!bintrail.output().includes(password));
});
