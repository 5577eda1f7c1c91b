import { hash } from 'node:crypto';
import { accepted, type Parsed, quote, rejected } from '../parsed.ts';

/** A password as it is stored: the SHA-256 of the password followed by the salt, in base64. */
export type StoredPassword = { readonly salt: string; readonly digest: string };

/** The users of a file, by name. */
export type Users = ReadonlyMap<string, StoredPassword>;

// These characters mean nothing in HAProxy's maps and commands.
const userName = /^[A-Za-z0-9._@+-]{1,64}$/;
const stored = /^\{SHA256\}([A-Za-z0-9]{8,64})\$([A-Za-z0-9+/]{43}=)$/;

const mostUsers = 10_000;
const make = 'make a line with pointsman password NAME';

/** How other programs hash, by how a hash begins. HAProxy would need up to some 100 ms for each request. */
const others: readonly (readonly [RegExp, string])[] = [
  [/^\$2[abxy]?\$/, 'bcrypt'],
  [/^\$apr1\$/, "Apache's MD5"],
  [/^\$[156]\$/, 'crypt (MD5 or SHA)'],
  [/^\$(y|gy|7)\$/, 'yescrypt or scrypt'],
  [/^\$argon2/, 'Argon2'],
  [/^\{SHA\}/, 'SHA-1 without a salt'],
];

/** A line of a file of users. */
export const formatUser = (name: string, { salt, digest }: StoredPassword): string =>
  `${name}:{SHA256}${salt}$${digest}`;

/** Stores a password with a salt of letters and digits. */
export const storePassword = (password: string, salt: string): StoredPassword => ({
  salt,
  digest: hash('sha256', password + salt, 'base64'),
});

/** Reads the name of a user: 1 to 64 of `A-Za-z0-9._@+-`. */
export function parseUserName(text: string): Parsed<string> {
  return userName.test(text)
    ? accepted(text)
    : rejected(`${quote(text)} is not the name of a user: 1 to 64 of A-Z a-z 0-9 . _ @ + -`);
}

/** Reads a file of users, a line each: `NAME:{SHA256}SALT$DIGEST`. Blank lines and lines with # are left out. */
export function parseUsers(text: string): Parsed<Users> {
  const users = new Map<string, StoredPassword>();
  for (const [at, whole] of text.split('\n').entries()) {
    const line = whole.trim();
    if (line === '' || line.startsWith('#')) continue;
    const where = `line ${at + 1}`;
    const colon = line.indexOf(':');
    // The line may be a password, so it is not repeated.
    if (colon === -1) return rejected(`${where}: it has no ":" after the name of a user; ${make}`);
    const name = parseUserName(line.slice(0, colon));
    if (!name.ok) return rejected(`${where}: ${name.reason}`);
    const password = parseStored(line.slice(colon + 1));
    if (!password.ok) return rejected(`${where}: the password of ${name.value} ${password.reason}`);
    if (users.has(name.value)) return rejected(`${where}: ${name.value} is there twice`);
    users.set(name.value, password.value);
    if (users.size > mostUsers) return rejected(`it has more than ${mostUsers} users`);
  }
  return accepted(users);
}

function parseStored(text: string): Parsed<StoredPassword> {
  const [, salt, digest] = stored.exec(text) ?? [];
  if (salt !== undefined && digest !== undefined) return accepted({ salt, digest });
  const other = others.find(([pattern]) => pattern.test(text))?.[1];
  return rejected(
    other === undefined
      ? `is not hashed as HAProxy can verify it; ${make}`
      : `is hashed with ${other}, which HAProxy cannot verify quickly enough for each request; ${make}`,
  );
}
