/** A migrated store on an engine of its own, and ways to fill and read it in tests. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BusRecord, Plan } from '@bintrail/runtime/bus.ts';
import { migrate, readMigrations } from '@bintrail/runtime/migrate.ts';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import type { BatchHeader } from '@bintrail/schemas/batch-encode.ts';
import { HEADER_COLUMNS, storeColumns } from '@bintrail/schemas/clickhouse.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import { startTestEngine, type TestEngine, testHome, testUser } from '@bintrail/standalone/clickhouse-host.fixture.ts';

export const MIGRATIONS = new URL('../../../schemas/migrations/', import.meta.url);

export type TestStore = { readonly store: Store; readonly engine: TestEngine; close(): Promise<void> };

/** Homes of engines that were migrated and stopped, each named by what it was made of. */
const TEMPLATES = fileURLToPath(new URL('../../../node_modules/.cache/bintrail/', import.meta.url));

/** An engine with all migrations applied, as one that was started again has them; `close` deletes it. */
export async function openTestStore(): Promise<TestStore> {
  const homeDir = testHome();
  execFileSync('cp', ['-a', `${await migratedHome()}/.`, homeDir]);
  const engine = await startTestEngine(homeDir);
  return testStore(engine);
}

/** The same on the engine that ran the migrations itself, which takes seconds. */
export async function migrateTestStore(): Promise<TestStore> {
  const test = testStore(await startTestEngine());
  await migrate(test.store, readMigrations(MIGRATIONS));
  return test;
}

function testStore(engine: TestEngine): TestStore {
  const store = openStore(engine);
  const close = async (): Promise<void> => {
    await store.close();
    await engine.remove();
  };
  return { store, engine, close };
}

/** Made once for these migrations, this engine and whoever runs this; other tests may do the same at this moment. */
async function migratedHome(): Promise<string> {
  const name = createHash('sha256').update(JSON.stringify([readMigrations(MIGRATIONS), testUser]));
  name.update(readFileSync(new URL('../../standalone/package.json', import.meta.url)));
  const home = join(TEMPLATES, `store-${name.digest('hex').slice(0, 16)}`);
  if (existsSync(home)) return home;
  const { store, engine } = await migrateTestStore();
  await store.close();
  await engine.stop();
  mkdirSync(TEMPLATES, { recursive: true });
  const own = mkdtempSync(`${home}.`);
  execFileSync('cp', ['-a', `${engine.homeDir}/.`, own]);
  rmSync(engine.homeDir, { recursive: true });
  try {
    renameSync(own, home);
  } catch (error) {
    if (!existsSync(home)) throw error;
    rmSync(own, { recursive: true });
  }
  return home;
}

export const HEADER: BatchHeader = { node: 'node-1', boot: 'boot-1', probeEpoch: 1_790_000_000_000n, batchSeq: 0 };

/** A plan of these messages, made now, as tables keep rows of the last 90 days only. */
export function planOf(values: readonly Uint8Array[], facts: Partial<Plan> = {}): Plan {
  const from = facts.from ?? 0;
  const records = values.map(
    (value, index): BusRecord => ({ offset: from + index, key: 'node-1', publishedAtMs: 0, value }),
  );
  const plan = { busId: 'bus', topic: 'bintrail.events', group: 'ingest', partition: 0, from, atMs: Date.now() };
  return { ...plan, to: from + values.length, records, ...facts };
}

export function decoded(bytes: Uint8Array): Batch {
  const result = decodeBatch(bytes);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return result.batch;
}

export type ShownRow = Readonly<Record<string, string>>;

/** Every row of an event's table with all its bytes: texts in hex, numbers and nanoseconds in decimal; sorted. */
export async function shownTable(store: Store, definition: EventDefinition): Promise<ShownRow[]> {
  const columns = storeColumns(definition).map(({ name, type }) => `${shownColumn(name, type)} AS ${name}_`);
  const rows = await store.query<Record<string, string>>(`SELECT ${columns.join(', ')} FROM ${definition.table}`);
  return sorted(
    rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, shown]) => [name.slice(0, -1), shown]))),
  );
}

function shownColumn(name: string, type: string): string {
  if (type.startsWith('DateTime64(9')) return `toString(toUnixTimestamp64Nano(${name}))`;
  if (type.startsWith('DateTime64(3')) return `toString(toUnixTimestamp64Milli(${name}))`;
  return type.includes('String') ? `lower(hex(${name}))` : `toString(${name})`;
}

/** What {@link shownTable} must show for rows as they were encoded. */
export function shownRows(
  definition: EventDefinition,
  header: BatchHeader,
  rows: readonly Readonly<Record<string, number | bigint | string>>[],
  atMs: number,
): ShownRow[] {
  const [node, boot, probe_epoch, ingested_at] = HEADER_COLUMNS.map(({ name }) => name) as [
    string,
    string,
    string,
    string,
  ];
  const hex = (text: string) => Buffer.from(text).toString('hex');
  const front = {
    [node]: hex(header.node),
    [boot]: hex(header.boot),
    [probe_epoch]: `${header.probeEpoch}`,
    [ingested_at]: `${atMs}`,
  };
  return rows.map((row) => {
    const shown = definition.fields.map(({ name, kind }) => {
      const value = row[name]!;
      if (kind === 'digest' && value === '') return [name, '00'.repeat(32)];
      return [name, typeof value === 'string' ? Buffer.from(value, 'latin1').toString('hex') : `${value}`];
    });
    return { ...front, ...Object.fromEntries(shown) };
  });
}

export function sorted(rows: readonly ShownRow[]): ShownRow[] {
  return rows
    .map((row) => [JSON.stringify(row), row] as const)
    .sort((a, b) => (a[0] < b[0] ? -1 : 1))
    .map(([, row]) => row);
}
