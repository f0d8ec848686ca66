/** For tests: the api on the real engine and the real embedded bus, in a folder of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import type { Status } from './deps.ts';
import { documentedAnswers } from './documented.fixture.ts';
import { type Api, type ApiOptions, openApi } from './open-api.ts';
import { createSecret } from './secret.ts';
import type { ApiRole } from './token-book.ts';

export const TEST_STATUS: Status = {
  mode: 'live',
  hooks: 'tracepoint',
  versions: { bintrail: '0.0.0-test' },
  parts: { probe: { state: 'up' }, ingest: { state: 'degraded', detail: 'behind' } },
};

export type TestParts = Awaited<ReturnType<typeof startParts>>;

/** A migrated engine, a bus and a home folder; `stop` ends and removes all of it. */
export async function startParts() {
  const { store, close } = await openTestStore();
  const homeDir = mkdtempSync(join(tmpdir(), 'bintrail-api-'));
  const bus = openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: ['bintrail.policy'] });
  const lines: string[] = [];
  const log = createLog({ level: 'info', name: 'api', write: (line) => lines.push(line) });
  const stop = async (): Promise<void> => {
    await bus.close();
    await close();
    rmSync(homeDir, { recursive: true });
  };
  return { homeDir, store, bus, log, lines, stop };
}

export type TestApi = Api & {
  /**
   * Sends a request as a role; a `body` is sent as JSON, POST unless another method is named. Throws for an answer that
   * is not documented.
   */
  ask(path: string, options?: AskOptions): Promise<Answer>;
  /** A token of each role. */
  readonly secrets: Readonly<Record<ApiRole, string>>;
};

export type AskOptions = {
  readonly role?: ApiRole | null;
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

// biome-ignore lint/suspicious/noExplicitAny: what a test asserts on is what types it
export type Answer = { readonly status: number; readonly headers: Headers; readonly json: any; readonly text: string };

/** An api on these parts, with a token of each role. */
export async function openTestApi(parts: TestParts, options: Partial<ApiOptions> = {}): Promise<TestApi> {
  const { store, bus, log, homeDir } = parts;
  const api = await openApi({
    store,
    bus,
    log,
    metrics: createMetrics(),
    status: () => TEST_STATUS,
    homeDir,
    closing: new AbortController().signal,
    ...options,
  });
  const [viewer, analyst, admin] = [createSecret(), createSecret(), createSecret()];
  for (const [role, { id, sha256 }] of Object.entries({ viewer, analyst, admin })) {
    const createdAtMs = api.deps.clock();
    const ends = { expiresAtMs: null, revokedAtMs: null };
    await api.deps.tokens.add({
      id,
      sha256,
      name: `test-${role}`,
      role: role as ApiRole,
      createdAtMs,
      createdBy: 'test',
      ...ends,
    });
  }
  const secrets = { viewer: viewer.token, analyst: analyst.token, admin: admin.token };
  const check = documentedAnswers(api.app);
  return { ...api, secrets, ask: (path, asked = {}) => send(api, secrets, check, path, asked) };
}

async function send(
  api: Api,
  secrets: TestApi['secrets'],
  check: ReturnType<typeof documentedAnswers>,
  path: string,
  { role = 'admin', body, method = body === undefined ? 'GET' : 'POST', headers = {} }: AskOptions,
): Promise<Answer> {
  const response = await api.app.request(path, {
    method,
    headers: {
      ...(role === null ? {} : { authorization: `Bearer ${secrets[role]}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  check(method, path.split('?')[0]!, response, text);
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson && text !== '' ? JSON.parse(text) : undefined,
  };
}
