/** The API tokens of the store, held in memory: every request looks one up. */
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { hashToken, sameHash, tokenId } from './secret.ts';
import { insertTokenRow, readTokenRows, type TokenRow } from './token-rows.ts';

/** In order of power: each may do what those before it may. */
export const ROLES_UPWARDS = ['viewer', 'analyst', 'admin'] as const;
export type ApiRole = (typeof ROLES_UPWARDS)[number];

/** Who asks. `name` is what audit rows show. */
export type Actor = { readonly tokenId: string; readonly name: string; readonly role: ApiRole };

export type Token = {
  readonly id: string;
  readonly name: string;
  readonly role: ApiRole;
  readonly sha256: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
  /** Planned end; null for none. */
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
};

export type TokenBook = {
  /** Whose token this is; undefined for one that is unknown, expired or revoked. */
  find(token: string): Promise<Actor | undefined>;
  /** Every token ever made, oldest first. */
  list(): readonly Token[];
  isValid(token: Token): boolean;
  /** Whether a token from the settings is an admin too. */
  readonly hasFleetAdmin: boolean;
  add(token: Token): Promise<void>;
  revoke(token: Token): Promise<void>;
  reload(): Promise<void>;
};

export type TokenBookOptions = {
  readonly store: Store;
  readonly log: Log;
  readonly clock: () => number;
  /** SHA-256 in hex of a token that is valid without a row: a fleet's, from its secret store. */
  readonly adminTokenHash?: string | undefined;
  /**
   * After so long without an answer of the store no token is taken: another copy may have revoked it. Without this the ones
   * known stay valid, as nobody else changes them.
   */
  readonly staleMs?: number | undefined;
};

/** How soon a copy that only reads knows of tokens made and revoked elsewhere, while the store answers. */
const RELOAD_MS = 10_000;

const FLEET_ADMIN: Actor = { tokenId: 'fleet', name: 'fleet-admin', role: 'admin' };

/** Empty until the first `reload`. */
export function createTokenBook({ store, log, clock, adminTokenHash, staleMs }: TokenBookOptions): TokenBook {
  let tokens = new Map<string, Token>();
  let revision = 0;
  let loadedAtMs = Number.NEGATIVE_INFINITY;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let loading: Promise<void> | undefined;
  const reads = { begun: 0, newest: 0 };

  async function load(): Promise<void> {
    const atMs = clock();
    reads.begun += 1;
    const read = reads.begun;
    const rows = await readTokenRows(store);
    // One that began later has ended already, and may know of a revocation this one does not.
    if (read < reads.newest) return;
    reads.newest = read;
    tokens = foldRows(rows);
    revision = rows.reduce((highest, row) => Math.max(highest, row.revision), 0);
    loadedAtMs = atMs;
    triedAtMs = atMs;
  }

  async function refresh(): Promise<void> {
    loading ??= load().finally(() => {
      loading = undefined;
    });
    try {
      await loading;
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      triedAtMs = clock();
      if (staleMs !== undefined && Math.abs(triedAtMs - loadedAtMs) > staleMs) throw error;
      log.warn({ err: error }, 'tokens could not be read again; the ones known stay valid');
    }
  }

  async function append(token: Token): Promise<void> {
    const revokedAtMs = token.revokedAtMs ?? token.expiresAtMs;
    revision += 1;
    await insertTokenRow(store, { ...token, revokedAtMs, revision });
    await load();
  }

  const isValid = (token: Token) =>
    token.revokedAtMs === null && (token.expiresAtMs === null || token.expiresAtMs > clock());

  return {
    async find(text) {
      if (Math.abs(clock() - triedAtMs) > RELOAD_MS) await refresh();
      const sha256 = hashToken(text);
      if (adminTokenHash !== undefined && sameHash(sha256, adminTokenHash)) return FLEET_ADMIN;
      const token = tokens.get(tokenId(text) ?? '');
      if (token === undefined || !sameHash(sha256, token.sha256) || !isValid(token)) return undefined;
      return { tokenId: token.id, name: token.name, role: token.role };
    },
    list: () => [...tokens.values()],
    isValid,
    hasFleetAdmin: adminTokenHash !== undefined,
    add: append,
    revoke: (token) => append({ ...token, revokedAtMs: clock() }),
    reload: load,
  };
}

// `revoked_at` of the row that made a token is its planned end; a later row of the same id is its revocation.
function foldRows(rows: readonly TokenRow[]): Map<string, Token> {
  const tokens = new Map<string, Token>();
  for (const { revision: _, revokedAtMs, ...row } of rows) {
    const first = tokens.get(row.id);
    if (first === undefined) tokens.set(row.id, { ...row, expiresAtMs: revokedAtMs, revokedAtMs: null });
    else tokens.set(row.id, { ...first, revokedAtMs });
  }
  return tokens;
}
