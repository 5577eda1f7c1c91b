import { readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { makeFolder } from '../../fs/make-folder.ts';
import { replaceFile } from '../../fs/replace-file.ts';
import { describe } from '../../model/fault.ts';
import type { JwksAddress } from '../../model/secret/jwks-address.ts';
import { type JwtKey, parseKeys } from '../../model/secret/keys.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import { type Fetched, fetchJwks } from './fetch-jwks.ts';

export type JwksFollowingParts = {
  /** The operator's folder, with the files of authorities. */
  readonly folder: string;
  /** The folder of the last good answers, so that a restart needs no issuer. */
  readonly kept: string;
  readonly logger: Logger;
  /** Other keys than before, or another reason why there are none. */
  readonly onChange: () => void;
};

/** The keys of an address, as far as they are known. */
export type FollowedKeys = {
  readonly keys: readonly JwtKey[] | undefined;
  /** Why the last attempt failed. */
  readonly failure: string | undefined;
};

type Followed = {
  readonly address: JwksAddress;
  text: string | undefined;
  known: FollowedKeys;
  failures: number;
  timer: NodeJS.Timeout | undefined;
};

const retry = { firstMs: 1000, mostMs: 60_000 };
const usualMs = 300_000;
const clamp = (ms: number) => Math.min(Math.max(ms, 60_000), 3_600_000);

/** Follows addresses of keys: fetches each from time to time, keeps the last good answer, and tries again with backoff. */
export class JwksFollowing {
  readonly #parts: JwksFollowingParts;
  readonly #followed = new Map<string, Followed>();
  readonly #end = new AbortController();

  constructor(parts: JwksFollowingParts) {
    this.#parts = parts;
  }

  /** Follows just these addresses, by the name of their file. The last good answer of an earlier run counts at once. */
  async follow(addresses: ReadonlyMap<string, JwksAddress>): Promise<void> {
    for (const [name, { timer }] of this.#followed) {
      if (addresses.has(name)) continue;
      clearTimeout(timer);
      this.#followed.delete(name);
      await unlink(this.#file(name)).catch(() => undefined);
    }
    for (const [name, address] of addresses) {
      const before = this.#followed.get(name);
      if (before !== undefined && JSON.stringify(before.address) === JSON.stringify(address)) continue;
      clearTimeout(before?.timer);
      const text = await this.#readKept(name, address);
      const keys = text === undefined ? undefined : publicKeysIn(text);
      const known = { keys, failure: undefined };
      const followed: Followed = { address, text, known, failures: 0, timer: undefined };
      this.#followed.set(name, followed);
      this.#schedule(name, followed, 0);
    }
  }

  keysOf(name: string): FollowedKeys | undefined {
    return this.#followed.get(name)?.known;
  }

  #schedule(name: string, followed: Followed, afterMs: number): void {
    if (this.#end.signal.aborted) return;
    followed.timer = setTimeout(() => void this.#fetch(name, followed), afterMs);
    followed.timer.unref();
  }

  async #fetch(name: string, followed: Followed): Promise<void> {
    const { logger, onChange } = this.#parts;
    const { address, known } = followed;
    let nextMs: number;
    try {
      const fetched = await this.#ask(address);
      const keys = publicKeysIn(fetched.text);
      const changed = fetched.text !== followed.text;
      followed.known = { keys, failure: undefined };
      followed.failures = 0;
      followed.text = fetched.text;
      nextMs = address.intervalMs ?? clamp(fetched.freshMs ?? usualMs);
      if (changed) await this.#keep(name, address, fetched.text);
      if (changed || known.failure !== undefined) {
        logger.info({ event: 'keys-fetched', name, keys: keys.length }, `the keys of ${name} are fetched`);
        if (this.#followed.get(name) === followed) onChange();
      }
    } catch (error) {
      if (this.#end.signal.aborted) return;
      followed.failures += 1;
      followed.known = { keys: known.keys, failure: describe(error) };
      nextMs = backoffMs(retry, followed.failures);
      if (followed.known.failure !== known.failure && this.#followed.get(name) === followed) onChange();
    }
    if (this.#followed.get(name) === followed) this.#schedule(name, followed, nextMs);
  }

  async #ask({ url, ca }: JwksAddress): Promise<Fetched> {
    const trusted = ca === undefined ? undefined : await readFile(join(this.#parts.folder, ca), 'utf8');
    return fetchJwks(url, trusted, this.#end.signal);
  }

  #file(name: string): string {
    return join(this.#parts.kept, name);
  }

  async #readKept(name: string, { url }: JwksAddress): Promise<string | undefined> {
    const text = await readFile(this.#file(name), 'utf8').catch(() => undefined);
    const end = text?.indexOf('\n') ?? -1;
    // Another address is another issuer.
    return text !== undefined && text.slice(0, end) === url ? text.slice(end + 1) : undefined;
  }

  /** A disk that takes no file costs only a restart without the issuer. */
  async #keep(name: string, { url }: JwksAddress, text: string): Promise<void> {
    try {
      await makeFolder(this.#parts.kept, 0o700);
      await replaceFile(this.#file(name), `${url}\n${text}`, { mode: 0o600 });
    } catch (error) {
      this.#parts.logger.warn({ event: 'keys-not-kept', name, reason: describe(error) }, describe(error));
    }
  }

  close(): void {
    this.#end.abort();
    for (const { timer } of this.#followed.values()) clearTimeout(timer);
  }
}

/** What an issuer publishes is known to everybody, so a shared secret in it is none. Throws an Error. */
function publicKeysIn(text: string): readonly JwtKey[] {
  const parsed = parseKeys(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  const keys = parsed.value.filter(({ kind }) => kind === 'public');
  if (keys.length === 0) throw new Error('it has no public key');
  return keys;
}
