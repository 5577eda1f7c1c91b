import { createPrivateKey, type KeyObject } from 'node:crypto';
import { type Account, formatAccount, parseAccount } from '../model/acme/account.ts';
import { accountKey } from '../model/acme/keys.ts';
import { open, type SealingKeys } from '../model/acme/sealing.ts';
import type { LeaderEntries } from './leader-entries.ts';
import { makePrivateKey, pemOf } from './private-key.ts';
import { type AccountWish, type Authority, type Signer, shared } from './protocol/authority.ts';
import { AuthorityError } from './protocol/authority-error.ts';
import { sealKey } from './seal-key.ts';

export type LeaderAccountParts = {
  readonly authority: Authority;
  /** The address of its directory. */
  readonly directory: string;
  /** This balancer's name in the fleet. */
  readonly id: string;
  readonly entries: LeaderEntries;
  readonly sealingKeys: SealingKeys;
  readonly wish: () => Promise<AccountWish>;
};

/** The account at the authority, which the leaders hand on in the registry. */
export class LeaderAccount {
  readonly #parts: LeaderAccountParts;
  #signer: Promise<Required<Signer>> | undefined;

  constructor(parts: LeaderAccountParts) {
    this.#parts = parts;
  }

  /** Makes the account at the first call. */
  signer(): Promise<Required<Signer>> {
    const asked = this.#signer ?? shared(this.#open());
    this.#signer = asked;
    asked.catch(() => {
      if (this.#signer === asked) this.#signer = undefined;
    });
    return asked;
  }

  /** Runs a request with the account. An authority that does not know the account any more gets it again, with the same key. */
  async run<T>(request: (signer: Required<Signer>) => Promise<T>): Promise<T> {
    const asked = this.signer();
    const signer = await asked;
    try {
      return await request(signer);
    } catch (error) {
      if (!(error instanceof AuthorityError) || error.problem !== 'accountDoesNotExist') throw error;
      if (this.#signer === asked) this.#signer = this.#register(signer.key);
      return request(await this.signer());
    }
  }

  async #open(): Promise<Required<Signer>> {
    const { entries, directory } = this.#parts;
    const seen = entries.get(accountKey);
    const parsed = seen === undefined ? undefined : parseAccount(seen.value);
    // Of another authority it is of no use here.
    const account = parsed?.ok === true && parsed.value.authority === directory ? parsed.value : undefined;
    if (account === undefined) return this.#register(await this.#make());
    const opened = open(account.key, accountKey, this.#parts.sealingKeys);
    if (!opened.ok) {
      throw new AuthorityError(
        `the private key of ${accountKey} cannot be opened: ${opened.reason}; use the file that the other balancers use, or delete ${accountKey} to make another account`,
        { kind: 'unavailable' },
      );
    }
    const key = createPrivateKey(opened.value);
    return account.url === undefined ? this.#register(key) : { key, account: account.url };
  }

  /** The key is in the registry before the authority hears of it: the next leader makes no second account. */
  async #make(): Promise<KeyObject> {
    const key = await makePrivateKey('ecdsa');
    await this.#store(key, undefined);
    return key;
  }

  async #register(key: KeyObject): Promise<Required<Signer>> {
    const { authority, wish } = this.#parts;
    const account = await authority.account(await wish(), key);
    await this.#store(key, account);
    return { key, account };
  }

  async #store(key: KeyObject, url: string | undefined): Promise<void> {
    const { entries, directory, id: by, sealingKeys } = this.#parts;
    const account: Account = { authority: directory, url, key: sealKey(pemOf(key), accountKey, sealingKeys), by };
    await entries.write({ [accountKey]: formatAccount(account) });
  }
}
