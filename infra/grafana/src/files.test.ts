import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { RULES } from './alerts.ts';
import { generatedFiles } from './files.ts';
import { UIDS } from './links.ts';
import { DATASOURCE } from './panels.ts';
import { SECTIONS } from './runbook.ts';
import { TABLES } from './tables.ts';

const HERE = new URL('../', import.meta.url);
const COMPOSE = new URL('../../compose/', import.meta.url);
const textOf = (path: string, base = HERE) => readFileSync(new URL(path, base), 'utf8');
const jsonFiles = readdirSync(new URL('dashboards/', HERE));

type Link = { title: string; url: string };
type Field = { unit?: string };
type Override = { properties: { id: string; value: unknown }[]; matcher: { options: string } };
type Panel = {
  id: number;
  title: string;
  type: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { rawSql: string; datasource: object }[];
  fieldConfig?: { defaults: Field; overrides: Override[] };
};
type Dashboard = {
  uid: string;
  title: string;
  description: string;
  links: Link[];
  panels: Panel[];
  templating: { list: { name: string }[] };
};
const dashboards = jsonFiles.map((file) => JSON.parse(textOf(`dashboards/${file}`)) as Dashboard);
const openApi = JSON.parse(textOf('../../services/api/openapi.json')) as { paths: Record<string, unknown> };

function linksOf({ links, panels }: Dashboard): { url: string; columns: string }[] {
  const cells = panels.flatMap(({ fieldConfig, targets }) =>
    (fieldConfig?.overrides ?? []).flatMap(({ properties }) =>
      properties
        .filter(({ id }) => id === 'links')
        .flatMap(({ value }) => value as Link[])
        .map(({ url }) => ({ url, columns: targets![0]!.rawSql })),
    ),
  );
  return [...links.map(({ url }) => ({ url, columns: '' })), ...cells];
}

describe('what is committed', () => {
  it('is what the sources generate', () => {
    for (const [path, content] of generatedFiles()) {
      assert.equal(textOf(path), content, `${path} is stale: npm run generate -w @bintrail/grafana`);
    }
  });

  it('has nothing generated that no source knows', () => {
    assert.deepEqual(
      jsonFiles,
      Object.values(UIDS)
        .map((uid) => `${uid}.json`)
        .toSorted(),
    );
  });
});

describe('dashboards', () => {
  for (const dashboard of dashboards) {
    const { uid, panels, templating, description } = dashboard;

    it(`${uid}: ids and titles are unique, and nothing overlaps`, () => {
      assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
      assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length);
      const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)}:${y + Math.floor(cell / w)}`),
      );
      assert.equal(new Set(cells).size, cells.length);
      assert.ok(panels.every(({ gridPos: { x, w } }) => x + w <= 24));
    });

    it(`${uid}: every panel says what to do, and in which unit`, () => {
      assert.ok(description.length > 20);
      for (const { title, description: says, fieldConfig, targets } of panels.filter((each) => each.targets)) {
        assert.match(says ?? '', /^.{30,130}\.$/, title);
        assert.ok(fieldConfig?.defaults.unit, title);
        assert.deepEqual(
          targets?.map(({ datasource }) => datasource),
          [DATASOURCE],
        );
      }
    });

    it(`${uid}: uses the variables it has, all of them`, () => {
      const names = templating.list.map(({ name }) => name);
      const queries = panels.flatMap(({ targets }) => targets?.map(({ rawSql }) => rawSql) ?? []).join();
      const used = [...queries.matchAll(/\$\{(\w+)/g)].map(([, name]) => name!);
      assert.deepEqual(new Set([...used, 'api']), new Set(names));
    });

    it(`${uid}: links lead to dashboards and routes that exist, with columns that the query has`, () => {
      for (const { url, columns } of linksOf(dashboard)) {
        const plain = url.replaceAll(/\$\{__data\.fields\.(\w+)[^}]*\}/g, (_, column: string) => {
          assert.match(columns, new RegExp(`\\b${column}\\b`), `${url} needs a column that is not there`);
          return 'x';
        });
        if (plain.startsWith('/d/')) {
          const to = dashboards.find((each) => each.uid === plain.slice(3).split('?')[0]);
          assert.ok(to !== undefined, url);
          const set = [...url.matchAll(/var-(\w+)=/g)].map(([, name]) => name);
          const has = to.templating.list.map(({ name }) => name);
          assert.deepEqual(
            set.filter((name) => !has.includes(name!)),
            [],
            url,
          );
        } else {
          const path = new URL(plain.replace(`\${api}`, 'http://api')).pathname;
          const routes = [...Object.keys(openApi.paths), '/docs'].map((route) => route.replaceAll(/\{\w+\}/g, 'x'));
          assert.ok(routes.includes(path), url);
        }
      }
    });
  }
});

type Compose = {
  services: Record<
    string,
    { environment: Record<string, string>; volumes?: string[]; depends_on?: Record<string, unknown> }
  >;
  volumes: Record<string, unknown>;
};

describe('provisioning', () => {
  type Source = { uid: string; type: string; jsonData: { defaultDatabase: string } };
  const { datasources } = parse(textOf('provisioning/datasources/bintrail.yaml')) as { datasources: Source[] };
  const { services, volumes } = parse(textOf('compose.yaml', COMPOSE)) as Compose;

  it('names the data source that the panels ask', () => {
    assert.deepEqual(
      datasources.map(({ uid, type }) => ({ uid, type })),
      [DATASOURCE],
    );
  });

  it('gives every alert rule a section of the runbook, and every dashboard a place in compose', () => {
    const titles = SECTIONS.map(({ title }) => title);
    assert.deepEqual(
      RULES.filter(({ title }) => !titles.includes(title)),
      [],
    );
    const { providers } = parse(textOf('provisioning/dashboards/bintrail.yaml')) as {
      providers: { options: { path: string } }[];
    };
    const mounts = services.grafana!.volumes!.map((volume) => volume.split(':')[1]);
    assert.ok(mounts.includes(providers[0]!.options.path));
  });

  it('has no reference in alerts that Grafana would read as a setting of its own', () => {
    const { groups } = parse(textOf('provisioning/alerting/bintrail.yaml')) as {
      groups: { rules: { annotations: object; title: string; data: object[] }[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    assert.equal(rules.length, RULES.length);
    for (const { annotations, title } of rules) assert.doesNotMatch(JSON.stringify([annotations, title]), /\$/);
  });

  it('mounts what exists, and gives every setting that the provisioning reads', () => {
    for (const { volumes: mounts = [], depends_on = {} } of Object.values(services)) {
      for (const [from] of mounts.map((mount) => mount.split(':'))) {
        assert.ok(
          from!.startsWith('.') ? existsSync(new URL(from!, COMPOSE)) : Object.hasOwn(volumes, from!),
          `${from}`,
        );
      }
      for (const name of Object.keys(depends_on)) assert.ok(Object.hasOwn(services, name));
    }
    const read = textOf('provisioning/datasources/bintrail.yaml').matchAll(/\$(\w+)/g);
    for (const [, name] of read) assert.ok(Object.hasOwn(services.grafana!.environment, name!), `${name}`);
  });

  it('lets Grafana read the tables it asks, and no others', () => {
    const grants = textOf('clickhouse-users.xml', COMPOSE).matchAll(/GRANT (\w+) ON (\w+)\.(\w+)</g);
    const { defaultDatabase } = datasources[0]!.jsonData;
    assert.deepEqual(
      [...grants].map(([, right, database, name]) => `${right} ${database} ${name}`).toSorted(),
      Object.values(TABLES)
        .map((name) => `SELECT ${defaultDatabase} ${name}`)
        .toSorted(),
    );
  });
});
