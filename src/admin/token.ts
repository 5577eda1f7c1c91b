import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, Fault } from '../model/fault.ts';

/** The token that allows changes on the admin port. */
export interface AdminToken {
  /** Whether an Authorization header has the token. Never rejects: without a readable file every request is refused. */
  isGiven(authorization: string | undefined): Promise<boolean>;
}

const shortest = 16;

/** The token in a file, read at each use, so that it can be replaced. Rejects with Fault `settings`. */
export async function openToken(path: string): Promise<AdminToken> {
  const read = async (): Promise<string> => (await readFile(path, 'utf8')).trim();
  let first: string;
  try {
    first = await read();
  } catch (cause) {
    throw new Fault('settings', `the token cannot be read: ${describe(cause)}`, { where: path, cause });
  }
  if (first.length < shortest) {
    const hint = 'create one with openssl rand -hex 32';
    throw new Fault('settings', `the token has fewer than ${shortest} characters`, { where: path, hint });
  }
  return {
    async isGiven(authorization) {
      const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
      const wanted = await read().catch(() => '');
      // A file that was emptied meanwhile holds no token that fits.
      return given !== undefined && wanted.length >= shortest && timingSafeEqual(digest(given), digest(wanted));
    },
  };
}

// Of equal length, as timingSafeEqual wants them.
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
