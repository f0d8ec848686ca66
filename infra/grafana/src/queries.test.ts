import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { openTestStore, type TestStore } from '@bintrail/ingest/store.fixture.ts';
import { RULES } from './alerts.ts';
import { type Asked, expand } from './macros.fixture.ts';
import { BINARY, seed, WORKLOAD } from './seed.fixture.ts';
import { ALL } from './sql.ts';
import { TABLES } from './tables.ts';

type PanelJson = { title: string; interval?: string; targets?: { rawSql: string }[]; type: string };
type DashboardJson = {
  uid: string;
  panels: PanelJson[];
  templating: { list: { name: string; type: string; query: string }[] };
};
type Value = string | number | null;

const FOLDER = new URL('../dashboards/', import.meta.url);
const dashboards = readdirSync(FOLDER).map(
  (file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as DashboardJson,
);
const DAY_MS = 86_400_000;
const EVERYTHING = { node: ALL, workload: ALL, rule: ALL, sha256: BINARY };
const CHOICES: Readonly<Record<string, Asked['variables']>> = {
  everything: { ...EVERYTHING, workload: WORKLOAD },
  'one of each': { node: 'node-a', workload: WORKLOAD, rule: 'unapproved-binary', sha256: BINARY },
};

describe('queries on the engine', () => {
  let test: TestStore;
  let nowMs: number;
  before(async () => {
    test = await openTestStore();
    nowMs = Date.now();
    await seed(test.store, nowMs);
  });
  after(() => test.close());

  const ask = (query: string, asked: Partial<Asked> = {}) =>
    test.store.query<Record<string, Value>>(
      expand(query, { fromMs: nowMs - DAY_MS, toMs: nowMs, intervalMs: 60_000, variables: EVERYTHING, ...asked }),
    );
  const panelOf = (uid: string, title: string) => {
    const panel = dashboards.find((each) => each.uid === uid)?.panels.find((each) => each.title === title);
    assert.ok(panel?.targets !== undefined, `${uid} has no ${title}`);
    return panel;
  };
  const rowsOf = ({ targets, interval }: PanelJson, variables: Asked['variables'] = EVERYTHING) =>
    ask(targets![0]!.rawSql, { variables, intervalMs: Number.parseInt(interval ?? '60s', 10) * 1000 });

  for (const { uid, panels, templating } of dashboards) {
    for (const panel of panels.filter(({ targets }) => targets !== undefined)) {
      for (const [choice, variables] of Object.entries(CHOICES)) {
        it(`${uid}: ${panel.title}, with ${choice}`, async () => {
          const rows = await rowsOf(panel, variables);
          assert.ok(rows.length > 0, 'no rows');
          if (panel.type !== 'stat') return;
          assert.equal(rows.length, 1);
          assert.ok(Object.values(rows[0]!).every((value) => value !== null && Number.isFinite(Number(value))));
        });
      }
    }
    for (const variable of templating.list.filter(({ type }) => type === 'query')) {
      it(`${uid}: options of ${variable.name}`, async () => {
        const options = (await ask(variable.query)).map((row) => Object.values(row)[0]);
        assert.ok(options.includes(variable.name === 'node' ? 'node-a' : WORKLOAD));
      });
    }
  }

  // Facts of seed.fixture.ts.
  const KNOWN: readonly (readonly [uid: string, title: string, value: number, variables?: Asked['variables']])[] = [
    ['bintrail-fleet', 'Coverage', 1 - 107 / 3000],
    ['bintrail-fleet', 'Coverage', 1, { ...EVERYTHING, node: 'node-b' }],
    ['bintrail-fleet', 'Events lost', 107],
    ['bintrail-fleet', 'Nodes reporting', 1],
    ['bintrail-fleet', 'Nodes silent', 1],
    ['bintrail-fleet', 'Nodes replaying', 1],
    ['bintrail-fleet', 'Runs', 12],
    ['bintrail-fleet', 'Binaries', 7],
    ['bintrail-fleet', 'New binaries', 6],
    ['bintrail-fleet', 'Workloads', 2],
    ['bintrail-workload', 'New binaries', 6, { ...EVERYTHING, workload: WORKLOAD }],
    ['bintrail-workload', 'Runs with a strong digest', 0, { ...EVERYTHING, workload: 'session/mallory' }],
    ['bintrail-binary', 'Runs', 2],
    ['bintrail-binary', 'Nodes', 2],
    ['bintrail-findings', 'Resolved', 1],
    ['bintrail-findings', 'Acknowledged', 1],
    ['bintrail-coverage', 'Messages missing', 3, { ...EVERYTHING, node: 'node-a' }],
  ];
  for (const [uid, title, value, variables] of KNOWN) {
    it(`${uid}: ${title} is ${value}${variables === undefined ? '' : ', chosen'}`, async () => {
      const [row] = await rowsOf(panelOf(uid, title), variables);
      assert.equal(Number(Object.values(row!)[0]), value);
    });
  }

  it('counts the runs of every finding, whatever its subject is', async () => {
    const rows = await rowsOf(panelOf('bintrail-findings', 'Findings, open ones first'));
    const rules = new Set(rows.map(({ rule }) => rule));
    assert.deepEqual([...rules].toSorted(), ['hash-missing', 'tampered-package-file', 'unapproved-binary']);
    assert.deepEqual(
      rows.filter(({ runs }) => Number(runs) < 1),
      [],
    );
  });

  it('does not show a pending digest once it came', async () => {
    const rows = await rowsOf(panelOf('bintrail-coverage', 'Why digests are missing'));
    assert.deepEqual(
      rows.map(({ reason, runs }) => `${reason} ${runs}`),
      ['vanished 4'],
    );
  });

  it('opens a finding again when it runs after its resolution', async () => {
    const resolved = panelOf('bintrail-findings', 'Resolved');
    const at = (await rowsOf(panelOf('bintrail-findings', 'What people did'))).find(
      ({ action }) => action === 'resolve',
    );
    const { finding } = at!;
    const list = await rowsOf(panelOf('bintrail-findings', 'Findings, open ones first'));
    const row = list.find((each) => each.finding === finding)!;
    assert.equal(row.state, 'resolved');
    await test.store.command(`INSERT INTO ${TABLES.sightings} (ingest_month, hour, workload, role, sha256, path, n, last_seen)
      SELECT ingest_month, hour, workload, role, sha256, path, 0, now64(9) FROM ${TABLES.sightings}
      WHERE lower(hex(sha256)) = '${row.digest}' LIMIT 1`);
    assert.equal(Number((await rowsOf(resolved))[0]!.findings), 0);
  });

  const FIRES: Readonly<Record<string, readonly string[]>> = {
    'bintrail-findings-unanswered': [''],
    'bintrail-coverage-low': ['node-a'],
    'bintrail-probe-silent': ['node-b'],
    'bintrail-outbox-stuck': ['node-b'],
    'bintrail-messages-missing': ['node-a'],
    'bintrail-ingest-behind': ['node-b'],
    'bintrail-digests-missing': ['node-b'],
  };
  for (const { uid, query, range, fires } of RULES) {
    const [kind, limit] = fires;
    const askRule = (toMs: number) =>
      ask(query, { fromMs: toMs - range[0] * 1000, toMs: toMs - range[1] * 1000, variables: {} });

    it(`alert ${uid} fires where it must, and only there`, async () => {
      const rows = await askRule(nowMs);
      const firing = rows.filter(({ node: _, ...values }) => {
        const [value, ...others] = Object.values(values).map(Number);
        assert.deepEqual(others, [], 'one number per row');
        return kind === 'above' ? value! > limit : value! < limit;
      });
      assert.deepEqual(firing.map(({ node }) => node ?? '').toSorted(), FIRES[uid]);
    });

    it(`alert ${uid} is quiet where nothing was stored`, async () => {
      const values = (await askRule(nowMs - 300 * DAY_MS)).flatMap((row) => Object.values(row));
      assert.deepEqual(values.map(Number).filter(Boolean), []);
    });
  }

  it('reads tables that exist, and no others', async () => {
    const rows = await ask('SELECT name FROM system.tables WHERE database = currentDatabase()');
    const known = new Set(rows.map(({ name }) => name));
    const tables = new Set<string>(Object.values(TABLES));
    assert.ok(tables.isSubsetOf(known));
    const panels = dashboards.flatMap((each) => each.panels).flatMap(({ targets = [] }) => targets);
    const others = [...dashboards.flatMap(({ templating }) => templating.list), ...RULES];
    const asked = [...panels.map(({ rawSql }) => rawSql), ...others.map(({ query }) => query)].join('\n');
    assert.deepEqual(new Set([...asked.matchAll(/(?:FROM|JOIN) ([a-z]\w*)/g)].map(([, name]) => name)), tables);
  });
});
