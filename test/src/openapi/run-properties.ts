/** Asks a real api on a real engine what its OpenAPI document allows, and what it does not. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { openTestApi, startParts } from '@bintrail/api/api.fixture.ts';
import { BOOT, createSendEvents } from '@bintrail/api/events.fixture.ts';
import { createFeed } from '@bintrail/api/feed.fixture.ts';
import { listen } from '@bintrail/api/listen.ts';

export type Asked = { readonly ok: boolean; readonly output: string };

export type Effort = {
  /** Generated requests of each operation and phase. */
  readonly examples: number;
  readonly seed: number;
};

/** Parameters that are ids, so that answers about things that are there come up as well. */
type Ids = Readonly<Record<string, string>>;

// What a request means is not all in the document (a window's ends, a cursor's owner, the state of a finding), so that
// not every valid one is accepted; that every answer is documented and none is a 5xx is what is asked here.
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'missing_required_header',
  'ignored_auth',
  'negative_data_rejection',
];

/** Twice: with any ids, and with those of things that are there. */
export async function askAnything(command: string, effort: Effort): Promise<Asked[]> {
  const parts = await startParts();
  const api = await openTestApi(parts, { requestsPerSecond: 1e6 });
  const server = await listen(api.app, { host: '127.0.0.1', port: 0 });
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-openapi-'));
  try {
    const ids = await fill(parts.store, api.ask);
    const asked: Asked[] = [];
    for (const [name, known, phases] of [
      ['any', {}, 'examples,coverage,fuzzing'],
      ['known', ids, 'fuzzing'],
    ] as const) {
      const config = join(folder, `${name}.toml`);
      writeFileSync(config, configOf(known));
      asked.push(await askOnce(command, [config, phases, `${server.url}/openapi.json`, api.secrets.admin], effort));
    }
    return asked;
  } finally {
    rmSync(folder, { recursive: true });
    await server.close();
    await api.close();
    await parts.stop();
  }
}

async function askOnce(
  command: string,
  [config, phases, url, token]: readonly [string, string, string, string],
  effort: Effort,
): Promise<Asked> {
  const child = spawn(
    command,
    [
      ...['--config-file', config, 'run', url, '--header', `Authorization:Bearer ${token}`, '--no-color'],
      ...['--checks', CHECKS.join(','), '--phases', phases, '--generation-database', 'none'],
      ...['--max-examples', String(effort.examples), '--seed', String(effort.seed), '--continue-on-failure'],
      // A stream does not end; its answers are tested by stream.test.ts.
      ...['--exclude-operation-id', 'streamEvents', '--request-timeout', '30'],
      ...['--warnings', 'off'],
    ],
    // What it keeps between runs goes with the folder.
    { cwd: dirname(config), stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PYTHONUTF8: '1' } },
  );
  const [out, err] = [text(child.stdout), text(child.stderr)];
  const [code] = await once(child, 'close');
  const lines = `${await out}${await err}`.split('\n').map((line) => line.slice(0, MAX_LINE_CHARS));
  return { ok: code === 0, output: lines.join('\n') };
}

// What is too long may be refused before it is read.
const REFUSALS = ['400', '401', '403', '404', '405', '409', '413', '415', '429', '431'];

function configOf(ids: Ids): string {
  const lines = Object.entries(ids).map(([name, value]) => `${JSON.stringify(name)} = ${JSON.stringify(value)}`);
  const parameters = lines.length === 0 ? '' : `[parameters]\n${lines.join('\n')}\n`;
  return `${parameters}[checks.negative_data_rejection]\nexpected-statuses = ${JSON.stringify(REFUSALS)}\n`;
}

// Some requests are over the limit of headers on purpose, and are shown in full otherwise.
const MAX_LINE_CHARS = 400;

const DIGEST = 'a'.repeat(32);

async function fill(
  store: Parameters<typeof createSendEvents>[0],
  ask: Awaited<ReturnType<typeof openTestApi>>['ask'],
): Promise<Ids> {
  const send = createSendEvents(store);
  await send('exec', [
    { path: '/opt/a', sha256: DIGEST, argv: '/opt/a\0--x\0', uid: 1000 },
    { path: '/opt/b', digest_reason: 'vanished', digest_strength: '', digest_source: '' },
  ]);
  await send('load', [{ path: '/opt/script.sh', sha256: DIGEST }]);
  await send('exit', [{ exit_code: 1 }]);
  const [finding] = await createFeed(store).exec([{ sha256: DIGEST }]);
  const body = { match: { path: '/opt/b' }, effect: 'allow', scope: { workload: 'host' }, reason: 'ours' };
  const approval = await ask('/v1/approvals', { body });
  return {
    'path.sha256': Buffer.from(DIGEST).toString('hex'),
    'path.exec_id': `${BOOT}:1000:0:1`,
    ...(finding === undefined ? {} : { 'path.id': finding.finding_id }),
    'query.workload': 'systemd/nginx.service',
    ...(approval.json?.id === undefined ? {} : { 'query.approval_id': approval.json.id }),
  };
}
