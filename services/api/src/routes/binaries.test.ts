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
import { BOOT, createSendEvents, PENDING, type SendEvents } from '../events.fixture.ts';

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

describe('one binary', () => {
  it('puts all sightings of a content together', async () => {
    const sha256 = fresh();
    const owner = { package: 'dpkg:curl:amd64', package_version: '8', package_match: 'match' };
    await send('exec', [
      { sha256, path: '/usr/bin/curl', ...owner, ts: ago(30) },
      { sha256, path: '/usr/bin/curl', ...owner, ts: ago(2) },
    ]);
    await send('load', [{ sha256, path: '/srv/tool', workload: 'host', image: 'sha256:1' }], { node: 'node-b' });
    const binary = await get(sha256);
    assert.equal(binary.exec_count, 3);
    assert.deepEqual(binary.verdict.verdicts, { denied: 0, unapproved: 1, unknown: 0, explained: 2, approved: 0 });
    assert.equal(binary.verdict.value, 'unapproved');
    assert.deepEqual(binary.paths, ['/usr/bin/curl', '/srv/tool']);
    assert.equal(binary.path_count, 2);
    assert.deepEqual(binary.packages, [{ name: 'dpkg:curl:amd64', version: '8', match: 'match' }]);
    assert.deepEqual(binary.workloads, ['systemd/nginx.service', 'host']);
    assert.deepEqual(binary.nodes, ['node-a', 'node-b']);
    assert.deepEqual(binary.images, ['sha256:1']);
    assert.deepEqual(binary.roles, ['exec', 'script']);
    assert.deepEqual(binary.strengths, { exact: 3 });
    assert.equal(Math.round((Date.now() - Date.parse(binary.first_seen)) / 3_600_000), 30);
    assert.equal(Math.round((Date.now() - Date.parse(binary.last_seen)) / 3_600_000), 1);
    assert.equal(binary.policy_revision, api.deps.approvals.revision());
    assert.equal(binary.coverage.digest_ratio, 1);
  });

  it('flips its verdict with an approval, and back with a denial', async () => {
    const sha256 = fresh();
    await send('exec', [{ sha256 }]);
    assert.equal((await get(sha256)).verdict.value, 'unapproved');
    await approve({ sha256: [hex(sha256)] });
    const approved = await get(sha256);
    assert.equal(approved.verdict.value, 'approved');
    assert.ok(approved.verdict.approval_id !== null);
    assert.ok((await digestsOf('verdict=approved')).includes(hex(sha256)));
    assert.ok(!(await digestsOf('verdict=unapproved')).includes(hex(sha256)));
    await approve({ sha256: [hex(sha256)] }, 'systemd/*', 'deny');
    assert.equal((await get(sha256)).verdict.value, 'denied');
    assert.ok((await digestsOf('verdict=denied')).includes(hex(sha256)));
  });

  it('counts a late digest where it came to be known, and no process of before the probe', async () => {
    const sha256 = fresh();
    await send('exec', [{ ...PENDING, pid: 7, start_ns: 7n }]);
    await send('exec', [{ sha256, path: '/opt/before', flags: flagBit('snapshot') }]);
    assert.equal((await api.ask(`/v1/binaries/${hex(sha256)}`)).status, 404);
    await send('digest', [{ sha256, pid: 7, start_ns: 7n, role: 'exec' }]);
    const binary = await get(sha256);
    assert.equal(binary.exec_count, 1);
    assert.deepEqual(binary.paths, ['/opt/a']);
  });

  it('lets strong evidence speak for the weak of the same workload, whatever is asked for', async () => {
    const sha256 = fresh();
    await approve({ sha256: [hex(sha256)] });
    await send('exec', [{ sha256, digest_strength: 'racy' }]);
    assert.equal((await get(sha256)).verdict.value, 'unapproved');
    await send('exec', [{ sha256, workload: 'host', ts: ago(50) }], { node: 'node-b' });
    assert.equal((await get(sha256, 'node=node-a')).verdict.value, 'unapproved');
    await send('exec', [{ sha256, ts: ago(50) }], { node: 'node-b' });
    assert.deepEqual((await get(sha256, 'since=now-2h&node=node-a')).verdict.verdicts.approved, 1);
    assert.ok((await digestsOf('verdict=approved&since=now-2h&node=node-a')).includes(hex(sha256)));
    await send('exec', [{ sha256, digest_strength: 'writable' }]);
    assert.equal((await get(sha256)).verdict.value, 'unapproved');
  });

  it('shows names that are no UTF-8, and finds by them', async () => {
    const sha256 = fresh();
    const path = Buffer.from([0x2f, 0xff, 0x0a]).toString('latin1');
    await send('exec', [{ sha256, path, workload: Buffer.from('systemd/a\\x2db').toString('latin1') }]);
    const binary = await get(sha256, `workload=${encodeURIComponent('systemd/a\\x2db')}`);
    assert.deepEqual(binary.paths, ['/\\xff\\x0a']);
    assert.deepEqual(binary.workloads, ['systemd/a\\x2db']);
    assert.deepEqual(await digestsOf(`path=${encodeURIComponent('/\\xff\\x0a')}`), [hex(sha256)]);
    assert.deepEqual(await digestsOf(`path=${encodeURIComponent('/\\xff*')}`), [hex(sha256)]);
  });

  it('is not there when it was not seen, or not in what was asked for', async () => {
    assert.equal((await api.ask(`/v1/binaries/${'f'.repeat(64)}`)).status, 404);
    assert.equal((await api.ask('/v1/binaries/abc')).status, 400);
    const sha256 = fresh();
    await send('exec', [{ sha256 }]);
    assert.equal((await get(sha256, 'workload=systemd%2Fnginx.service')).exec_count, 1);
    assert.equal((await api.ask(`/v1/binaries/${hex(sha256)}?workload=host`)).status, 404);
    assert.equal((await api.ask(`/v1/binaries/${hex(sha256)}?node=other`)).status, 404);
  });
});

describe('running', () => {
  const run = async (sha256: string, query = '') =>
    (await get(sha256, query)).running.processes.map(({ pid }: { pid: number }) => pid).sort();

  it('is what neither ended nor was replaced, in the newest boot', async () => {
    const sha256 = fresh();
    const boot = '99999999-2222-3333-4444-555555555555';
    const node = 'run-a';
    const image = (pid: number, self_exec_id = 1) => ({ pid, start_ns: BigInt(pid), self_exec_id });
    await send('exec', [{ sha256, ...image(1) }], { node, probeEpoch: 1n });
    await send(
      'exec',
      [
        { sha256, ...image(2), ts: ago(2) },
        { sha256, ...image(3) },
        { sha256, ...image(4) },
        { sha256: fresh(), ...image(4, 2) },
        { sha256: fresh(), ...image(5) },
        { sha256, ...image(5, 2), ts: ago(3), workload: 'host' },
        { ...PENDING, ...image(6) },
      ],
      { node, boot, probeEpoch: 2n },
    );
    await send('load', [{ sha256, ...image(7), path: '/opt/a.sh' }], { node, boot, probeEpoch: 2n });
    await send('digest', [{ sha256, ...image(6), role: 'exec' }], { node, boot, probeEpoch: 2n });
    // The same process number came again later: not this process.
    await send('exit', [image(3), { ...image(2), start_ns: 99n }], { node, boot, probeEpoch: 2n });
    assert.deepEqual(await run(sha256), [2, 5, 6, 7]);
    assert.deepEqual(await run(sha256, 'workload=host'), [5]);
    const { count, processes } = (await get(sha256)).running;
    assert.equal(count, 4);
    const [oldest] = processes.slice(-1);
    assert.equal(oldest.exec_id, `${boot}:5:5:2`);
    assert.equal(oldest.workload, 'host');
    assert.equal(oldest.node, node);
    assert.equal(Math.round((Date.now() - Date.parse(oldest.since)) / 3_600_000), 3);
  });

  it('says which process the probe found again when it came back', async () => {
    const sha256 = fresh();
    const node = 'run-b';
    await send(
      'exec',
      [
        { sha256, pid: 1, start_ns: 1n },
        { sha256, pid: 2, start_ns: 2n },
      ],
      { node },
    );
    const snapshot = { ...PENDING, digest_reason: 'snapshot', flags: flagBit('snapshot') };
    await send('exec', [{ ...snapshot, pid: 2, start_ns: 2n }], { node, boot: BOOT, probeEpoch: 2n });
    const { processes } = (await get(sha256)).running;
    const confirmed = processes.map(({ pid, confirmed }: { pid: number; confirmed: boolean }) => [pid, confirmed]);
    assert.deepEqual(confirmed.sort(), [
      [1, false],
      [2, true],
    ]);
  });
});

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
      for (const limit of [1, 7, 23]) {
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
