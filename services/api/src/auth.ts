/** Who is asking, and whether they may. */
import type { Context, MiddlewareHandler } from 'hono';
import type { Env } from './deps.ts';
import { Problem } from './problem.ts';
import { type Actor, type ApiRole, ROLES_UPWARDS } from './token-book.ts';

const CHALLENGE = 'Bearer realm="bintrail"';

/** Lets a request pass whose token has at least this role and is within its rate; sets `actor`. */
export function requireRole(role: ApiRole): MiddlewareHandler<Env> {
  return async (c, next) => {
    const actor = await authenticate(c);
    c.set('actor', actor);
    spend(c, `token:${actor.tokenId}`);
    if (ROLES_UPWARDS.indexOf(actor.role) < ROLES_UPWARDS.indexOf(role)) {
      throw new Problem('role-needed', `This needs the role ${role}; the token has ${actor.role}.`, {
        headers: { 'www-authenticate': `${CHALLENGE}, error="insufficient_scope", scope="${role}"` },
      });
    }
    await next();
  };
}

async function authenticate(c: Context<Env>): Promise<Actor> {
  const header = c.req.header('authorization');
  if (header === undefined) throw refused(c, 'Send the header Authorization: Bearer <token>.', CHALLENGE);
  const token = /^Bearer +(\S+) *$/i.exec(header)?.[1];
  if (token === undefined) {
    const scheme = /^[A-Za-z]+/.exec(header)?.[0];
    const instead = scheme === undefined || /^bearer$/i.test(scheme) ? '' : ` ${scheme} is not taken.`;
    throw refused(c, `Send the header Authorization: Bearer <token>.${instead}`, CHALLENGE);
  }
  const actor = await c.var.deps.tokens.find(token);
  if (actor === undefined) {
    throw refused(c, 'The token is unknown, expired or revoked.', `${CHALLENGE}, error="invalid_token"`);
  }
  return actor;
}

// Guessing costs the guesser's address; a valid token from there still has a bucket of its own.
function refused(c: Context<Env>, detail: string, challenge: string): Problem {
  spend(c, `refused:${clientAddress(c)}`);
  return new Problem('invalid-token', detail, { headers: { 'www-authenticate': challenge } });
}

/** Takes one request from a key's allowance. */
export function spend(c: Context<Env>, key: string): void {
  const waitMs = c.var.deps.rateLimit.take(key);
  if (waitMs === 0) return;
  throw new Problem('too-many-requests', 'Over the rate limit.', {
    headers: { 'retry-after': String(Math.ceil(waitMs / 1000)) },
  });
}

/** Address of the peer; '' where the adapter gives none. */
export function clientAddress(c: Context<Env>): string {
  const env = c.env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined;
  return env?.incoming?.socket?.remoteAddress ?? '';
}
