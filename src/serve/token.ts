/** Who may use the service. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { MiddlewareHandler } from 'hono';
import { fromSystemError, UserError } from '../errors.js';
import type { RequestFacts } from './context.js';
import { Refusal } from './refusal.js';

/** Addresses and names that only this machine can reach. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i;
const LEAST_LENGTH = 16;

/**
 * Reads the token that clients must send.
 * @throws UserError when it cannot be read, is too short to be one, or is missing where others can reach the service
 */
export function readToken(path: string | undefined, host: string): string | null {
  if (path === undefined) {
    if (LOOPBACK.test(host)) return null;
    throw new UserError('usage', {
      what: 'a service that other machines can reach needs a token',
      where: '--host',
      got: host,
      fix: 'write one with `openssl rand -hex 32 > token`, and add --token-file token',
    });
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw fromSystemError(error, path);
  }
  if (text.length >= LEAST_LENGTH && /^[\x21-\x7e]+$/.test(text)) return text;
  throw new UserError('usage', {
    what: 'this is not a usable token',
    where: path,
    got: `${text.length} characters`,
    expected: `one line of at least ${LEAST_LENGTH} characters without spaces`,
    fix: 'openssl rand -hex 32 > token',
  });
}

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Refuses requests without the token; without one, those that web pages of others have a browser on this machine send. */
export function guardBy(token: string | null): MiddlewareHandler<RequestFacts> {
  if (token === null)
    return async (c, next) => {
      const hostname = URL.canParse(c.req.url) ? new URL(c.req.url).hostname : (c.req.header('host') ?? '');
      if (!LOOPBACK.test(hostname))
        throw new Refusal(403, 'without a token, this service answers to loopback names only', {
          got: hostname.slice(0, 100),
          expected: 'localhost, 127.0.0.1 or ::1',
        });
      if (c.req.header('sec-fetch-site') === 'cross-site')
        throw new Refusal(403, 'without a token, this service does not answer to other web pages');
      await next();
    };
  const wanted = digest(`Bearer ${token}`);
  return async (c, next) => {
    if (!timingSafeEqual(digest(c.req.header('authorization') ?? ''), wanted))
      throw new Refusal(401, 'this service needs a token', { expected: 'Authorization: Bearer TOKEN' });
    await next();
  };
}
