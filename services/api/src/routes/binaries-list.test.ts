import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { corroborationOf } from '@bintrail/analysis/corroboration.ts';
import { judge } from '@bintrail/analysis/judge.ts';
import * as kit from '@bintrail/analysis/sighting.kit.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { parsePrintable } from '@bintrail/schemas/printable.ts';
import { VERDICTS } from '@bintrail/schemas/sighting.ts';
import fc from 'fast-check';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createSendEvents, type SendEvents } from '../events.fixture.ts';

let parts: TestParts;
let api: TestApi;
let send: SendEvents;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts, { requestsPerSecond: 1e9 });
  send = createSendEvents(parts.store);
});
after(async () => {
  await api.close();
  await parts.stop();
});

const HOUR_NS = 3_600_000_000_000n;
const ago = (hours: number) => BigInt(Date.now()) * 1_000_000n - BigInt(hours) * HOUR_NS;
const hex = (bytes: string) => Buffer.from(bytes, 'latin1').toString('hex');
const asBytes = (sha256: string) => Buffer.from(sha256, 'hex').toString('latin1');
let content = 0;
/** A digest that no other case uses, as a byte string. */
const fresh = () => asBytes((++content).toString(16).padStart(64, '0'));

async function list(query: string) {
  const { status, json, text } = await api.ask(`/v1/binaries?limit=1000&${query}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  return json;
}
const digestsOf = async (query: string) =>
  (await list(query)).items.map(({ sha256 }: { sha256: string }) => sha256) as string[];
async function get(sha256: string, query = '') {
  const { status, json, text } = await api.ask(`/v1/binaries/${hex(sha256)}?${query}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  return json;
}
async function approve(match: object, workload = '*', effect = 'allow') {
  const { status } = await api.ask('/v1/approvals', {
    body: { match, effect, scope: { workload }, reason: 'ours' },
  });
  assert.equal(status, 201);
}

describe('the list', () => {
  it('filters by what was seen', async () => {
    const [one, two] = [fresh(), fresh()];
    const owner = { package: 'dpkg:zsh:amd64', package_version: '5', package_match: 'mismatch' };
    await send('exec', [{ sha256: one, path: '/f/one', ...owner, image: 'sha256:f', ts: ago(5) }], { node: 'f-a' });
    await send(
      'exec',
      [
        { sha256: two, path: '/f/two', workload: 'f/two' },
        { sha256: two, path: '/f/two' },
      ],
      {
        node: 'f-b',
      },
    );
    const both = [hex(one), hex(two)];
    assert.deepEqual(await digestsOf('path=/f/*'), both);
    assert.deepEqual(await digestsOf('path=/f/one'), both.slice(0, 1));
    assert.deepEqual(await digestsOf('path=/f/*&package=zsh'), both.slice(0, 1));
    assert.deepEqual(await digestsOf('package=dpkg:zsh:amd64&node=f-a'), both.slice(0, 1));
    assert.deepEqual(await digestsOf('package=zs'), []);
    assert.deepEqual(await digestsOf('workload=f/two'), both.slice(1));
    assert.deepEqual(await digestsOf('node=f-a'), both.slice(0, 1));
    assert.deepEqual(await digestsOf('image=sha256:f'), both.slice(0, 1));
    assert.deepEqual(await digestsOf('path=/f/*&since=now-2h'), both.slice(1));
    assert.deepEqual(await digestsOf('path=/f/*&until=now-2h'), both.slice(0, 1));
    assert.deepEqual(await digestsOf('path=/f/*&first_seen_since=now-2h'), both.slice(1));
    assert.deepEqual(await digestsOf('path=/f/*&first_seen_since=now-2h&node=f-a'), []);
    assert.deepEqual(await digestsOf('path=/f/*&verdict=unknown'), []);
    const [scoped] = (await list('workload=f/two')).items;
    assert.equal(scoped.exec_count, 1);
  });

  it('tells programs and libraries apart, and counts what a row stands for', async () => {
    const [program, library, both] = [fresh(), fresh(), fresh()];
    const there = { workload: 'systemd/roles.service', ts: ago(2) };
    await send(
      'exec',
      [program, both].map((sha256) => ({ ...there, sha256, path: '/r/program' })),
      { node: 'r' },
    );
    const loads = [library, both].map((sha256) => ({
      ...there,
      sha256,
      path: '/r/lib.so',
      role: 'library',
      repeats: 2,
    }));
    await send('load', loads, { node: 'r' });
    const asked = 'workload=systemd/roles.service';
    for (const where of [asked, `${asked}&node=r`]) {
      assert.deepEqual(await digestsOf(`${where}&role=exec`), [program, both].map(hex));
      assert.deepEqual(await digestsOf(`${where}&role=library`), [library, both].map(hex));
      assert.deepEqual(await digestsOf(`${where}&role=loader`), []);
      const { items } = await list(`${where}&role=library`);
      assert.deepEqual(
        items.map(({ exec_count }: { exec_count: number }) => exec_count),
        [3, 3],
      );
    }
    const { json } = await api.ask(`/v1/workloads/profile?${asked}&role=library`, { role: 'viewer' });
    assert.deepEqual(
      json.executables.map(({ sha256, count }: { sha256: string; count: number }) => [sha256, count]),
      [library, both].map((sha256) => [hex(sha256), 3]),
    );
  });

  it('counts on one node what ran there', async () => {
    const sha256 = fresh();
    const rows = [{ sha256 }, { sha256, digest_strength: 'alive' }];
    await send('exec', [...rows, ...rows], { node: 'n-a' });
    await send('exec', rows, { node: 'n-b' });
    const binary = await get(sha256, 'node=n-b');
    assert.equal(binary.exec_count, 2);
    assert.deepEqual(binary.nodes, ['n-b']);
    assert.equal((await get(sha256)).exec_count, 6);
    const plain = fresh();
    await send('exec', [{ sha256: plain }, { sha256: plain }, { sha256: plain }], { node: 'n-a' });
    await send('exec', [{ sha256: plain }], { node: 'n-b' });
    assert.equal((await get(plain, 'node=n-b')).verdict.verdicts.unapproved, 1);
  });

  it('new is what was not seen before in what is asked for, also where the window hides it', async () => {
    const sha256 = fresh();
    await send('exec', [
      { sha256, workload: 'new/old', ts: ago(40) },
      { sha256, workload: 'new/old' },
    ]);
    await send('exec', [{ sha256, workload: 'new/new' }]);
    assert.deepEqual(await digestsOf('workload=new/old&since=now-3h&first_seen_since=now-24h'), []);
    assert.deepEqual(await digestsOf('workload=new/new&first_seen_since=now-24h'), [hex(sha256)]);
  });

  it('shows each binary once, whatever the size of the pages', async () => {
    const digests = Array.from({ length: 23 }, fresh);
    await send(
      'exec',
      digests.flatMap((sha256) => [
        { sha256, path: '/p/a' },
        { sha256, path: '/p/b', workload: 'host' },
      ]),
    );
    await approve({ sha256: digests.filter((_, index) => index % 3 === 0).map(hex) });
    for (const query of ['path=/p/*', 'path=/p/*&verdict=unapproved', 'path=/p/*&first_seen_since=now-1d']) {
      const all = await digestsOf(query);
      assert.equal(all.length, query.includes('verdict') ? 15 : 23);
      for (const limit of [2, 7, 23]) {
        const paged: string[] = [];
        let cursor: string | null = '';
        while (cursor !== null) {
          const { json } = await api.ask(`/v1/binaries?${query}&limit=${limit}${cursor && `&cursor=${cursor}`}`);
          paged.push(...json.items.map(({ sha256 }: { sha256: string }) => sha256));
          cursor = json.next_cursor;
        }
        assert.deepEqual(paged, all);
      }
    }
    const { next_cursor } = (await api.ask('/v1/binaries?path=/p/*&limit=1')).json;
    assert.equal((await api.ask(`/v1/binaries?path=/q/*&limit=1&cursor=${next_cursor}`)).status, 400);
  });

  it('ends a page short when too much does not pass, and goes on from there', async () => {
    await parts.store.command(
      `INSERT INTO sightings SELECT toYYYYMM(now()), toStartOfHour(now()), 'host', '', 'exec', unhex(concat('ee',
         leftPad(hex(number), 62, '0'))), '/many', 'dpkg:x:amd64', '1', 'match', 0, if(number < 51000, 'racy', 'exact'),
         '', 1, now64(9), now64(9) FROM numbers(51001)`,
    );
    const first = await list('path=/many&verdict=explained');
    assert.deepEqual(first.items, []);
    const { items, next_cursor } = await list(`path=/many&verdict=explained&cursor=${first.next_cursor}`);
    assert.deepEqual(
      items.map(({ sha256 }: { sha256: string }) => sha256),
      [`ee${(51_000).toString(16).padStart(62, '0')}`],
    );
    assert.equal(next_cursor, null);
  });

  it('finds what is in the window behind what only shares its first hour', async () => {
    const at = 'toStartOfHour(now() - INTERVAL 1 HOUR) + if(number < 1500, 600, 1200)';
    await parts.store.command(
      `INSERT INTO sightings SELECT toYYYYMM(now()), toStartOfHour(now() - INTERVAL 1 HOUR), 'host', '', 'exec',
         unhex(concat('dd', leftPad(hex(number), 62, '0'))), '/edge', '', '', '', 0, 'exact', '', 1, ${at}, ${at}
       FROM numbers(1501)`,
    );
    const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 3_600_000;
    const { items, next_cursor } = await list(`path=/edge&since=${new Date(hour + 900_000).toISOString()}`);
    assert.deepEqual(
      items.map(({ sha256 }: { sha256: string }) => sha256),
      [`dd${(1500).toString(16).padStart(62, '0')}`],
    );
    assert.equal(next_cursor, null);
  });

  it('agrees by verdict with judging everything', async () => {
    // Sixteen contents of the four that the approvals know.
    const variants = (sha256: string) => ['00', '01', '02', '03'].map((end) => `${sha256.slice(0, 62)}${end}`);
    const seen = fc
      .sample(kit.sightings, { numRuns: 200, seed: 7 })
      .filter(({ sha256 }) => sha256 !== '')
      .map((one, index) => ({ ...one, role: 'exec' as const, sha256: variants(one.sha256)[index % 4]! }));
    for (const { match, effect, scope } of fc.sample(kit.plainApprovals, { numRuns: 8, seed: 3 })) {
      if ('path' in match && scope.workload === '*') continue;
      await approve(
        'sha256' in match ? { sha256: match.sha256.slice(0, 1).flatMap((one) => variants(one).slice(1)) } : match,
        scope.workload,
        effect,
      );
    }
    await send(
      'exec',
      seen.map(({ sha256, upper_layer, path, ...rest }) => ({
        ...rest,
        path: Buffer.from(parsePrintable(path)).toString('latin1'),
        sha256: asBytes(sha256),
        flags: upper_layer ? flagBit('upper_layer') : 0,
      })),
      { node: 'judged' },
    );
    const compiled = api.deps.approvals.compiled();
    const isCorroborated = corroborationOf(seen);
    const worstOf = (all: typeof seen) =>
      VERDICTS.find((value) =>
        all.some((one) => judge(one, compiled, Date.now(), isCorroborated(one)).value === value),
      );
    for (const workload of [undefined, ...new Set(seen.map((one) => one.workload))]) {
      const asked = seen.filter((one) => workload === undefined || one.workload === workload);
      const expected = [...Map.groupBy(asked, ({ sha256 }) => sha256)].map(([sha256, all]) => [worstOf(all), sha256]);
      for (const verdict of VERDICTS) {
        const place = `node=judged${workload === undefined ? '' : `&workload=${encodeURIComponent(workload)}`}`;
        const digests = expected.filter(([value]) => value === verdict).map(([, sha256]) => sha256);
        assert.deepEqual(await digestsOf(`${place}&verdict=${verdict}`), digests.sort(), `${verdict} ${place}`);
      }
      if (workload !== undefined) continue;
      assert.ok(new Set(expected.map(([value]) => value)).size > 1, 'all alike');
    }
  });
});

describe('hostile parameters', () => {
  it('end in 4xx or find nothing', async () => {
    for (const text of ["' OR 1=1 --", "x') UNION ALL SELECT 1 --", '{sha256:String}', '\\', '\u0000', '%', '*\\x']) {
      for (const name of [
        'verdict',
        'package',
        'path',
        'workload',
        'node',
        'image',
        'since',
        'first_seen_since',
        'cursor',
      ]) {
        const { status, json } = await api.ask(`/v1/binaries?${name}=${encodeURIComponent(text)}`);
        assert.ok(status === 400 || (status === 200 && json.items.length === 0), `${name} ${text}: ${status}`);
      }
    }
  });
});
