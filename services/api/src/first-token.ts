/** The first admin token: made once, kept in a file for its owner, known to the store only by its hash. */
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { createSecret, hashToken, tokenId } from './secret.ts';
import type { TokenBook } from './token-book.ts';

export const FIRST_TOKEN_NAME = 'first-admin';

export type FirstToken =
  /** The file holds a token the store knows. */
  | { readonly state: 'ready'; readonly path: string }
  /** Tokens exist but the file is gone, or holds another store's; `remedy` says how to make a new one. */
  | { readonly state: 'lost'; readonly path: string; readonly remedy: string };

/**
 * Makes `$BINTRAIL_HOME/token` (0600) and stores its hash, unless both are there. The file comes first: after a crash
 * in between, the token in it is taken up again. Where tokens exist none is made: a file cannot be put down to get in.
 * @throws SetupError when the file holds no token, or others may read it.
 */
export async function ensureFirstToken(homeDir: string, tokens: TokenBook, clock: () => number): Promise<FirstToken> {
  const path = join(homeDir, 'token');
  if (tokens.list().length > 0) {
    const held = readToken(path);
    const known = held === undefined ? undefined : await tokens.find(held);
    return known === undefined ? { state: 'lost', path, remedy: REMEDY } : { state: 'ready', path };
  }
  const token = readToken(path) ?? createFile(path) ?? readToken(path);
  const id = token === undefined ? undefined : tokenId(token);
  if (token === undefined || id === undefined) throw unusable(path, 'holds no token');
  await tokens.add({
    id,
    name: FIRST_TOKEN_NAME,
    role: 'admin',
    sha256: hashToken(token),
    createdAtMs: clock(),
    createdBy: 'first start',
    expiresAtMs: null,
    revokedAtMs: null,
  });
  return { state: 'ready', path };
}

const REMEDY =
  'make a new one with another admin token (POST /v1/tokens); without any, start with BINTRAIL_ADMIN_TOKEN_HASH set to ' +
  'the SHA-256 of a token of your choice';

/** The token in the file; undefined without a file. */
function readToken(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    if ((fstatSync(file).mode & 0o077) !== 0) throw unusable(path, 'can be read by other users');
    return readFileSync(file, 'utf8').trim();
  } finally {
    closeSync(file);
  }
}

/** Creates the file with all of its content at once; undefined when another process was faster. */
function createFile(path: string): string | undefined {
  const { token } = createSecret();
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeFileSync(file, `${token}\n`);
    fsyncSync(file);
    linkSync(draft, path);
    return token;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  } finally {
    closeSync(file);
    unlinkSync(draft);
  }
}

function unusable(path: string, why: string): SetupError {
  return new SetupError(`${path} ${why}`, 'remove it; the next start makes a new one if the store has no token yet');
}
