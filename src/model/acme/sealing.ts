import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { accepted, type Parsed, rejected } from '../parsed.ts';

/** The keys that private keys are sealed with, in the order of their file: the first one seals, all of them open. */
export type SealingKeys = readonly [SealingKey, ...SealingKey[]];

type SealingKey = {
  /** Names the key in what it sealed; tells nothing about it. */
  readonly id: string;
  /** 32 bytes. */
  readonly bytes: Uint8Array;
};

const version = 'v1';
const nonceBytes = 12;
const tagBytes = 16;

/** Reads a file of keys, one a line: 32 bytes in base64 (`openssl rand -base64 32`). Lines that begin with # are comments. */
export function parseSealingKeys(text: string): Parsed<SealingKeys> {
  const keys: SealingKey[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const bytes = Buffer.from(trimmed, 'base64');
    if (bytes.length !== 32) {
      return rejected(`line ${index + 1} is not a key: it needs 32 bytes in base64 (openssl rand -base64 32)`);
    }
    keys.push({ id: createHash('sha256').update(bytes).digest('base64url').slice(0, 8), bytes });
  }
  const [first, ...others] = keys;
  return first === undefined
    ? rejected('it has no key: write one with `openssl rand -base64 32`')
    : accepted([first, ...others]);
}

/**
 * Seals a text with AES-256-GCM: `v1.<id of the key>.<nonce, text and tag>`. `place` is the key of the entry that holds it: it opens
 * nowhere else, so nobody who can only write to the registry can move a private key to another host. `nonce`: 12 random bytes.
 */
export function seal(text: string, place: string, [key]: SealingKeys, nonce: Uint8Array): string {
  const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce).setAAD(Buffer.from(place));
  const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return [version, key.id, sealed.toString('base64url')].join('.');
}

/** Opens what `seal` made. */
export function open(sealed: string, place: string, keys: SealingKeys): Parsed<string> {
  const [format, id, body = ''] = sealed.split('.');
  if (format !== version || id === undefined) return rejected('it is not sealed as pointsman seals it (v1)');
  const key = keys.find((one) => one.id === id);
  if (key === undefined) {
    return rejected(`it is sealed with the key ${id.slice(0, 8)}, which the file of keys does not have`);
  }
  const bytes = Buffer.from(body, 'base64url');
  if (bytes.length < nonceBytes + tagBytes) return rejected('it is too short');
  const decipher = createDecipheriv('aes-256-gcm', key.bytes, bytes.subarray(0, nonceBytes)).setAAD(Buffer.from(place));
  decipher.setAuthTag(bytes.subarray(-tagBytes));
  try {
    const text = [decipher.update(bytes.subarray(nonceBytes, -tagBytes), undefined, 'utf8'), decipher.final('utf8')];
    return accepted(text.join(''));
  } catch {
    return rejected('it was changed, or belongs to another entry');
  }
}

/** Whether it was sealed with the key that seals now. */
export const isSealedWithFirst = (sealed: string, [key]: SealingKeys): boolean => sealed.split('.')[1] === key.id;
