import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { openTestStore, type TestStore } from '@bintrail/ingest/store.fixture.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { ensureFirstToken } from './first-token.ts';
import { createSecret } from './secret.ts';
import { createTokenBook, type TokenBook } from './token-book.ts';

let engine: TestStore;
let homeDir: string;

before(async () => {
  engine = await openTestStore();
});
after(() => engine.close());
beforeEach(async () => {
  await engine.store.command('TRUNCATE TABLE api_tokens');
  homeDir = mkdtempSync(join(tmpdir(), 'bintrail-token-'));
});

afterEach(() => rmSync(homeDir, { recursive: true }));

/** What a start of the api knows: a book just read. */
async function book(): Promise<TokenBook> {
  const log = createLog({ level: 'silent', name: 'test', write: () => {} });
  const tokens = createTokenBook({ store: engine.store, log, clock: Date.now });
  await tokens.reload();
  return tokens;
}

const start = async (tokens?: TokenBook) => ensureFirstToken(homeDir, tokens ?? (await book()), Date.now);
const path = () => join(homeDir, 'token');
const held = () => readFileSync(path(), 'utf8').trim();

describe('ensureFirstToken', () => {
  it('makes an admin token that only its owner can read, and nothing else', async () => {
    assert.deepEqual(await start(), { state: 'ready', path: path() });
    assert.equal(statSync(path()).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(homeDir), ['token']);
    const actor = await (await book()).find(held());
    assert.deepEqual([actor?.name, actor?.role], ['first-admin', 'admin']);
  });

  it('leaves both as they are at the next start', async () => {
    await start();
    const token = held();
    assert.equal((await start()).state, 'ready');
    assert.equal(held(), token);
    assert.equal((await book()).list().length, 1);
  });

  it('takes up the token of a start that crashed before its hash was stored', async () => {
    const tokens = await book();
    const crashing = { ...tokens, add: () => Promise.reject(new Error('crash')) };
    await assert.rejects(start(crashing), /crash/);
    const token = held();
    assert.equal(await (await book()).find(token), undefined);
    assert.equal((await start()).state, 'ready');
    assert.equal(held(), token);
    assert.equal((await (await book()).find(token))?.role, 'admin');
  });

  it('makes none where tokens exist, and says how to get one', async () => {
    await start();
    rmSync(path());
    const found = await start();
    assert.equal(found.state, 'lost');
    assert.match(found.state === 'lost' ? found.remedy : '', /BINTRAIL_ADMIN_TOKEN_HASH/);
    assert.deepEqual(readdirSync(homeDir), []);
  });

  it('gives nobody a way in who puts down a file of his own', async () => {
    await start();
    const forged = createSecret().token;
    writeFileSync(path(), forged);
    assert.equal((await start()).state, 'lost');
    assert.equal(await (await book()).find(forged), undefined);
  });

  it('refuses a file that holds no token, or that others may read', async () => {
    writeFileSync(path(), '', { mode: 0o600 });
    await assert.rejects(start(), (error) => error instanceof SetupError && error.remedy.startsWith('remove it'));
    writeFileSync(path(), createSecret().token);
    chmodSync(path(), 0o644);
    await assert.rejects(start(), (error) => error instanceof SetupError && error.message.includes('other users'));
    assert.equal((await book()).list().length, 0);
  });

  it('agrees on one token when two start at once', async () => {
    await Promise.all([start(), start()]);
    const tokens = await book();
    assert.equal((await tokens.find(held()))?.role, 'admin');
    assert.equal(tokens.list().length, 1);
  });
});
