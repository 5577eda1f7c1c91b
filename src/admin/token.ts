import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, Fault } from '../model/fault.ts';

/** The token that allows changes on the admin port. */
export interface AdminToken {
  /** Whether an Authorization header has the token. Never rejects: without a readable file every request is refused. */
  isGiven(authorization: string | undefined): Promise<boolean>;
  /** Whether an Authorization header has a signature of this text, made with the token. Never rejects. */
  signed(text: string, authorization: string | undefined): Promise<boolean>;
}

const signing = 'Pointsman-Signature';

/**
 * The Authorization header for this text. Unlike the token itself it may be sent to an address that the registry names: a
 * program that listens there can only send the same text to a balancer.
 */
export const signatureOf = (text: string, token: string): string =>
  `${signing} ${createHmac('sha256', token).update(text).digest('hex')}`;

const shortest = 16;

const read = async (path: string): Promise<string> => (await readFile(path, 'utf8')).trim();

/** The token in a file. Rejects with Fault `settings`. */
export async function readToken(path: string): Promise<string> {
  let token: string;
  try {
    token = await read(path);
  } catch (cause) {
    throw new Fault('settings', `the token cannot be read: ${describe(cause)}`, { where: path, cause });
  }
  if (token.length < shortest) {
    const hint = 'create one with openssl rand -hex 32';
    throw new Fault('settings', `the token has fewer than ${shortest} characters`, { where: path, hint });
  }
  return token;
}

/** The token in a file, read at each use, so that it can be replaced. Rejects with Fault `settings`. */
export async function openToken(path: string): Promise<AdminToken> {
  await readToken(path);
  return {
    async isGiven(authorization) {
      const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
      const wanted = await read(path).catch(() => '');
      // A file that was emptied meanwhile holds no token that fits.
      return given !== undefined && wanted.length >= shortest && timingSafeEqual(digest(given), digest(wanted));
    },
    async signed(text, authorization = '') {
      const wanted = await read(path).catch(() => '');
      return wanted.length >= shortest && timingSafeEqual(digest(authorization), digest(signatureOf(text, wanted)));
    },
  };
}

// Of equal length, as timingSafeEqual wants them.
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
