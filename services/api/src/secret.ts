/** API tokens: `bt_<id>_<secret>`, the id 64 and the secret 256 random bits. Only a hash of the whole is kept. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const PATTERN = /^bt_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;

export type NewSecret = { readonly id: string; readonly token: string; readonly sha256: string };

export function createSecret(): NewSecret {
  const id = randomBytes(8).toString('hex');
  const token = `bt_${id}_${randomBytes(32).toString('base64url')}`;
  return { id, token, sha256: hashToken(token) };
}

/** The id in a token; undefined for anything that is no token. */
export function tokenId(token: string): string | undefined {
  return PATTERN.exec(token)?.[1];
}

/** Lower-case hex SHA-256 of the whole token: what `printf %s "$TOKEN" | sha256sum` prints. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** Compares two hashes in lower-case hex in a time that does not depend on where they differ. */
export function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'hex'), Buffer.from(b, 'hex')];
  return left.length === right.length && timingSafeEqual(left, right);
}
