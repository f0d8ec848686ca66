/** Every operation of the document, every parameter and body field of it, filled with what should not be there. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTestApi, startParts, type TestApi, type TestParts } from './api.fixture.ts';
import { newApp } from './app.ts';
import { describeApi } from './document.ts';
import { createFeed } from './feed.fixture.ts';
import { addRoutes } from './routes.ts';

const HOSTILE = [
  "' OR '1'='1",
  "'; DROP TABLE api_tokens; --",
  "x') UNION ALL SELECT secret_sha256 FROM api_tokens --",
  '{name:String}',
  '\\',
  "\\'",
  '\u0000',
  '\n\r\t\u001b',
  '\ud800',
  '%00%27',
  '../../etc/passwd',
  '-1',
  '9'.repeat(400),
  'x'.repeat(10_000),
  '😀'.repeat(200),
  '',
];

/** Path parameters that get past their schema, so that what stands beside them is looked at too. */
const PLAUSIBLE = ['a'.repeat(64), 'host', '11111111-2222-3333-4444-555555555555:1:1:1'];

const approval = { effect: 'allow', scope: { workload: 'host' }, reason: 'r', expires_at: null };
const ids = ['a'.repeat(64)];
/** A body of each shape that an operation takes. */
const BODIES: Readonly<Record<string, readonly object[]>> = {
  createApproval: [
    { ...approval, match: { sha256: ids } },
    { ...approval, match: { package: { name: 'x', version: '1' } } },
    { ...approval, match: { path: '/x' } },
  ],
  createToken: [{ name: 'n', role: 'viewer', expires_at: null }],
  acknowledgeFinding: [{ reason: 'r' }],
  resolveFinding: [{ reason: 'r' }],
  acknowledgeFindings: [{ ids, reason: 'r' }],
  resolveFindings: [{ ids, reason: 'r' }],
};

type Operation = {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: unknown;
};
type Document = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };

function operations() {
  const app = newApp();
  addRoutes(app);
  const { paths } = JSON.parse(JSON.stringify(describeApi(app))) as Document;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );
}

let parts: TestParts;
let api: TestApi;

before(async () => {
  parts = await startParts();
  // The rate of this test is not what it is about.
  api = await openTestApi(parts, { requestsPerSecond: 1e9 });
  await createFeed(parts.store).exec([{ ts: BigInt(Date.now()) * 1_000_000n }]);
});
after(async () => {
  await api.close();
  await parts.stop();
});

/** `ask` itself refuses what is not documented; nothing here may end in a fault of ours. */
async function send(path: string, method: string, body?: unknown): Promise<void> {
  const { status, text } = await api.ask(path, { method, ...(body === undefined ? {} : { body }) });
  assert.ok(status < 500, `${method} ${path} ${JSON.stringify(body)}: ${text}`);
}

function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

function filled(path: string, value: string): string {
  return path.replaceAll(/\{[^}]+\}/g, encoded(value));
}

/** The body with each of its values, at any depth, replaced in turn. */
function* spoiled(body: unknown, value: unknown): Iterable<unknown> {
  yield value;
  if (Array.isArray(body)) for (const inner of spoiled(body[0], value)) yield [inner];
  else if (typeof body === 'object' && body !== null) {
    for (const [name, part] of Object.entries(body)) {
      for (const inner of spoiled(part, value)) yield { ...body, [name]: inner };
    }
    yield { ...body, [String(value)]: value };
  }
}

// Streams never end by themselves.
const asked = operations().filter(({ path }) => !path.endsWith('/stream'));

describe('hostile input', () => {
  for (const { path, method, operationId, parameters = [], requestBody } of asked) {
    it(`leaves ${method} ${path} standing`, async () => {
      const bodies = BODIES[operationId] ?? [];
      assert.ok(requestBody === undefined || bodies.length > 0, `add a body for ${operationId}`);
      const queries = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
      const paths = path.includes('{') ? PLAUSIBLE.map((value) => filled(path, value)) : [path];
      for (const value of HOSTILE) {
        // An empty segment, and dots that a URL resolves, make another path.
        if (path.includes('{') && value !== '' && !value.startsWith('..')) {
          await send(filled(path, value), method, bodies[0]);
        }
        for (const at of paths) {
          for (const name of queries) await send(`${at}?${name}=${encoded(value)}`, method, bodies[0]);
        }
      }
      for (const value of [...HOSTILE, null, 0, -1.5, true, [], {}, [null]]) {
        for (const body of bodies.flatMap((valid) => [...spoiled(valid, value)])) await send(paths[0]!, method, body);
      }
    });
  }

  it('changed nothing that nobody asked for', async () => {
    const tables = [
      'api_tokens',
      'audit_log',
      'approval_revisions',
      'finding_actions',
      'finding_evidence',
      'sightings',
    ];
    const rows = await parts.store.query<{ name: string }>(
      'SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN ({tables:Array(String)})',
      { tables },
    );
    assert.equal(rows.length, tables.length);
    assert.equal((await api.ask('/v1/findings')).json.items.length, 1);
  });
});
