import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { startTestEngine, type TestEngine } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import fc from 'fast-check';
import { SetupError, Transient } from './errors.ts';
import { openStore, parseClickHouseUrl, type Store, StoreError } from './store.ts';

const refusal = (code: number) => (error: unknown) => error instanceof StoreError && error.code === code;

describe('a store on a real engine', () => {
  let engine: TestEngine;
  let store: Store;
  before(async () => {
    engine = await startTestEngine();
    store = openStore(engine);
  });
  after(async () => {
    await store.close();
    await engine.remove();
  });

  it('answers rows with 64-bit numbers as text, times in UTC and values bound, not pasted', async () => {
    const hostile = `'; DROP TABLE x; -- \n\t\\ {a:String} é`;
    const [row] = await store.query(
      'SELECT {hostile:String} AS hostile, {list:Array(String)} AS list, {big:UInt64} AS big, timezone() AS zone',
      { hostile, list: [hostile, ''], big: 2n ** 64n - 1n },
    );
    assert.deepEqual(row, { hostile, list: [hostile, ''], big: '18446744073709551615', zone: 'UTC' });
    assert.deepEqual(await store.query('SELECT 1 WHERE 0'), []);
  });

  it('reports what goes wrong after rows were made as the error it is', async () => {
    await assert.rejects(store.query('SELECT throwIf(number = 900000) FROM numbers(1000000)'), refusal(395));
  });

  it('stores small rows strictly, each time it is told to, or once under a token', async () => {
    await store.command(
      `CREATE TABLE small (id UInt64, at DateTime64(3, 'UTC'), note String)
       ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100`,
    );
    const row = { id: 2n ** 63n, at: new Date('2026-01-02T03:04:05.678Z'), note: `it's "so"\n` };
    await store.insertRows('small', [row]);
    await store.insertRows('small', [row]);
    for (let i = 0; i < 2; i++) await store.insertRows('small', [{ ...row, note: 'once' }], 'token');
    await store.insertRows('small', []);
    const stored = { id: '9223372036854775808', at: '2026-01-02 03:04:05.678' };
    assert.deepEqual(await store.query('SELECT * FROM small ORDER BY note'), [
      { ...stored, note: `it's "so"\n` },
      { ...stored, note: `it's "so"\n` },
      { ...stored, note: 'once' },
    ]);
    await assert.rejects(store.insertRows('small', [{ id: 1, unknown: 2 }]), refusal(117));
  });

  it('refuses a table name that is more than a name', async () => {
    await assert.rejects(store.insertRows('small FORMAT Null --', [{}]), /not the name of a table/);
  });

  it('keeps a full block and all a view makes of it whole, and stores it once under its token', async () => {
    const copies = 12; // past the million rows where the engine starts another block by itself
    await blockTables('full', `SELECT number AS id, copy AS n FROM full ARRAY JOIN range(${copies}) AS copy`);
    const body = block(100_000, 0n);
    const blocks = `SELECT table, max(max_block_number) AS blocks, sum(rows) AS count FROM system.parts
      WHERE active AND table IN ('full', 'full_view') GROUP BY table ORDER BY table`;
    await store.insertNative('full', body, 'first');
    assert.deepEqual(await store.query(blocks), [
      { table: 'full', blocks: '1', count: '100000' },
      { table: 'full_view', blocks: '1', count: `${100_000 * copies}` },
    ]);
    const counted = 'SELECT (SELECT count() FROM full) AS raw, (SELECT count() FROM full_view) AS viewed';
    await store.insertNative('full', body, 'first');
    assert.deepEqual(await store.query(counted), [{ raw: '100000', viewed: `${100_000 * copies}` }]);
    await store.insertNative('full', body, 'second');
    assert.deepEqual(await store.query(counted), [{ raw: '200000', viewed: `${200_000 * copies}` }]);
  });

  it('gives a view that failed its rows by the replay, and the table none again', async () => {
    await store.command('CREATE TABLE gate (open UInt8) ENGINE = MergeTree ORDER BY open');
    const select = 'SELECT number AS id, 1 + throwIf((SELECT count() FROM gate) = 0) AS n FROM gated';
    await blockTables('gated', select);
    const body = block(1000, 5n);
    await assert.rejects(store.insertNative('gated', body, 'plan'), refusal(395));
    await store.insertRows('gate', [{ open: 1 }]);
    for (let i = 0; i < 2; i++) await store.insertNative('gated', body, 'plan');
    const counted = 'SELECT (SELECT count() FROM gated) AS raw, (SELECT sum(n) FROM gated_view) AS viewed';
    assert.deepEqual(await store.query(counted), [{ raw: '1000', viewed: '1000' }]);
  });

  it('tells refusals by their code: table, database, privilege, syntax, also before a large body is read', async () => {
    await assert.rejects(store.insertNative('missing', block(1_000_000, 0n), 'token'), refusal(60));
    await assert.rejects(store.query('SELECT * FROM system.users'), refusal(497));
    await assert.rejects(store.command('CREATE'), refusal(62));
    await assert.rejects(store.insertNative('full', Buffer.from('not a block'), 'token'), StoreError);
    const elsewhere = openStore({ ...engine, database: 'nowhere' });
    await assert.rejects(elsewhere.ping(), refusal(81));
    await elsewhere.close();
  });

  it('pings with its credentials, and does not take a stranger for someone busy', async () => {
    await store.ping();
    const stranger = openStore({ ...engine, password: 'wrong' });
    await assert.rejects(stranger.ping(), StoreError);
    await stranger.close();
  });

  async function blockTables(name: string, select: string): Promise<void> {
    const settings = 'SETTINGS non_replicated_deduplication_window = 10000';
    await store.command(`CREATE TABLE ${name} (number UInt64) ENGINE = MergeTree ORDER BY number ${settings}`);
    await store.command(`CREATE TABLE ${name}_view (id UInt64, n UInt64) ENGINE = MergeTree ORDER BY id ${settings}`);
    await store.command(`CREATE MATERIALIZED VIEW ${name}_mv TO ${name}_view AS ${select}`);
  }
});

describe('a store on a server in trouble', () => {
  const answers: [string, RequestListener, Error | number][] = [
    ['memory limit', (_, answer) => answer.writeHead(500, { 'X-ClickHouse-Exception-Code': '241' }).end('busy'), 241],
    ['too many parts', (_, answer) => answer.writeHead(500, { 'X-ClickHouse-Exception-Code': '252' }).end('busy'), 252],
    ['keeper', (_, answer) => answer.writeHead(500, { 'X-ClickHouse-Exception-Code': '999' }).end('busy'), 999],
    ['a proxy without a server', (_, answer) => answer.writeHead(502).end('<html>'), 0],
    ['a proxy glad about everything', (_, answer) => answer.writeHead(200).end('<html>'), 0],
  ];
  for (const [name, listener, code] of answers) {
    it(`is worth another try: ${name}`, async () => {
      await withServer(listener, async (store) => {
        const attempt = store.insertNative('t', block(10, 0n), 'token');
        await assert.rejects(attempt, (error) => error instanceof Transient && refusal(code as number)(error.cause));
      });
    });
  }

  it('waits as long as the server asks', async () => {
    const busy: RequestListener = (_, answer) => answer.writeHead(429, { 'Retry-After': '7' }).end();
    await withServer(busy, async (store) => {
      await assert.rejects(store.ping(), (error) => error instanceof Transient && error.retryAfterMs === 7000);
    });
  });

  it('is not worth another try where something refuses for good', async () => {
    await withServer(
      (_, answer) => answer.writeHead(403).end('SELECT secret'),
      async (store) => {
        await assert.rejects(store.ping(), (error) => refusal(0)(error) && !String(error).includes('secret'));
      },
    );
  });

  const cuts: [string, RequestListener][] = [
    ['reset before an answer', (request) => request.socket.destroy()],
    ['never answered', () => {}],
    ['stalled within the answer', (_, answer) => void answer.writeHead(200, ok).write('[')],
    [
      'cut within the answer',
      (request, answer) => answer.writeHead(200, ok).write('[', () => request.socket.destroy()),
    ],
    ['not HTTP', (request) => request.socket.end('SSH-2.0-OpenSSH_9.2\r\n')],
  ];
  for (const [name, listener] of cuts) {
    it(`keeps the cause of a request ${name}`, async () => {
      await withServer(listener, async (store) => {
        await assert.rejects(
          store.query('SELECT 1'),
          (error) => error instanceof Transient && error.cause !== undefined,
        );
      });
    });
  }

  it('takes a refused connection as a server to come back', async () => {
    const port = await withServer(
      () => {},
      async (_, port) => port,
    );
    const store = openStore({ ...nobody, url: `http://127.0.0.1:${port}` });
    await assert.rejects(store.ping(), Transient);
    await store.close();
  });
});

describe('CLICKHOUSE_URL', () => {
  it('becomes options', () => {
    const common = { username: 'default', password: '', database: 'bintrail' };
    assert.deepEqual(parseClickHouseUrl('http://localhost:8123'), { ...common, url: 'http://localhost:8123' });
    assert.deepEqual(parseClickHouseUrl('https://bintrail:p%40ss%2F%3A@ch.example:8443/audit/'), {
      url: 'https://ch.example:8443',
      username: 'bintrail',
      password: 'p@ss/:',
      database: 'audit',
    });
    const ofCluster = { ...common, url: 'http://localhost:8123', cluster: 'fleet' };
    assert.deepEqual(parseClickHouseUrl('http://localhost:8123/bintrail?cluster=fleet'), ofCluster);
  });

  it('takes any user and password that is percent-encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), (user, password) => {
        const options = parseClickHouseUrl(
          `http://${encodeURIComponent(user)}:${encodeURIComponent(password)}@[::1]:8123/b`,
        );
        assert.deepEqual(options, { url: 'http://[::1]:8123', username: user, password, database: 'b' });
      }),
    );
  });

  const secret = 'hunter2';
  const nonsense = [
    '',
    `${secret}`,
    `localhost:${secret}`,
    `tcp://u:${secret}@localhost:9000`,
    `http://u:${secret}@`,
    `http://u:${secret}@host:99999/`,
    `http://u:${secret}%@host/`,
    `http://u:${secret}@host/a/b`,
    `http://u:${secret}@host/a;b`,
    `http://u:${secret}@host/?database=b`,
  ];
  for (const value of nonsense) {
    it(`is refused without repeating it: ${JSON.stringify(value)}`, () => {
      assert.throws(
        () => parseClickHouseUrl(value),
        (error) => error instanceof SetupError && !`${error.stack} ${error.remedy} ${error.cause}`.includes(secret),
      );
    });
  }
});

const ok = { 'X-ClickHouse-Query-Id': 'id' };
const nobody = { username: 'u', password: 'p', database: 'd', timeoutMs: 300 };

async function withServer<T>(listener: RequestListener, work: (store: Store, port: number) => Promise<T>): Promise<T> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const store = openStore({ ...nobody, url: `http://127.0.0.1:${port}` });
  try {
    return await work(store, port);
  } finally {
    await store.close();
    server.closeAllConnections();
    server.close();
  }
}

/** One Native block of a column `number UInt64` that counts up. */
function block(rows: number, first: bigint): Buffer {
  const column = BigUint64Array.from({ length: rows }, (_, row) => first + BigInt(row));
  const named = [varint(1), varint(rows), text('number'), text('UInt64')];
  return Buffer.concat([...named, Buffer.from(column.buffer)]);
}

function text(value: string): Buffer {
  return Buffer.concat([varint(Buffer.byteLength(value)), Buffer.from(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}
