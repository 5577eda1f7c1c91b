import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { certificateKey, orderKey } from '../model/acme/keys.ts';
import type { OrderRecord } from '../model/acme/order-record.ts';
import { open, type SealingKeys } from '../model/acme/sealing.ts';
import {
  formatStoredCertificate,
  parseStoredCertificate,
  type StoredCertificate,
} from '../model/acme/stored-certificate.ts';
import { parseCertificate } from '../model/certificate.ts';
import type { LeaderAccount } from './account.ts';
import { flawOf, validityOf } from './known-certificate.ts';
import type { LeaderEntries } from './leader-entries.ts';
import { isEnd, OrderEnded } from './order-ended.ts';
import { pemOf } from './private-key.ts';
import type { Order } from './protocol/answers.ts';
import type { Authority } from './protocol/authority.ts';
import { AuthorityError } from './protocol/authority-error.ts';
import { certificateId } from './protocol/certificate-id.ts';
import { certificateRequest } from './protocol/certificate-request.ts';
import { notTooSoon, renewalByAdvice, renewalByLifetime } from './renewal-time.ts';
import { sealKey } from './seal-key.ts';

export type IssuingParts = {
  readonly authority: Pick<Authority, 'finalize' | 'certificate' | 'renewalAdvice'>;
  /** The address of its directory. */
  readonly directory: string;
  readonly account: LeaderAccount;
  readonly entries: LeaderEntries;
  readonly sealingKeys: SealingKeys;
  readonly logger: Logger;
  readonly wall: () => Date;
  readonly random: () => number;
};

/** An order that is under way. */
export type UnderWay = OrderRecord & { readonly order: string; readonly key: string };

/** The last steps of an order whose host is proved: from the request to the certificate in the registry. */
export class Issuing {
  readonly #parts: IssuingParts;

  constructor(parts: IssuingParts) {
    this.#parts = parts;
  }

  /** Hands in the request for the certificate. */
  async finalize(host: string, { finalize }: Order, record: UnderWay): Promise<void> {
    const { authority, account } = this.#parts;
    const request = certificateRequest(host, this.#openKey(host, record));
    try {
      await account.run((signer) => authority.finalize(finalize, request, signer));
    } catch (error) {
      if (!(error instanceof AuthorityError) || error.kind === 'unavailable' || error.status === 429) throw error;
      // The leader before may have sent it already.
      if (error.problem === 'orderNotReady') return;
      throw new OrderEnded(error.message, { cause: error });
    }
  }

  /** Fetches the certificate that the authority made, and writes it in place of the order. */
  async store(host: string, order: Order, record: UnderWay): Promise<StoredCertificate> {
    const { authority, account, entries, sealingKeys, directory, wall, random } = this.#parts;
    const { certificate: url } = order;
    if (url === undefined) throw new OrderEnded('the authority does not say where the certificate is');
    const certificate = await account
      .run((signer) => authority.certificate(url, signer))
      .catch((error: unknown) => {
        // The order stays valid, so it would be taken up again for ever.
        if (isEnd(error)) throw new OrderEnded(error.message, { cause: error });
        throw error;
      });
    const key = this.#openKey(host, record);
    const now = wall();
    const flaw = flawOf(certificate, host, key, now.getTime());
    if (flaw !== undefined) throw new OrderEnded(`the certificate that the authority made is of no use: ${flaw}`);
    const place = certificateKey(host);
    const stored: StoredCertificate = {
      ...{ certificate, key: sealKey(pemOf(key), place, sealingKeys) },
      ...{
        issuedAt: now.toISOString(),
        authority: directory,
        ...(await this.#renewalTime(host, certificate, now, random())),
      },
    };
    const value = formatStoredCertificate(stored);
    // An entry that no balancer can read would be ordered again at once.
    for (const read of [parseStoredCertificate(value), parseCertificate(`${certificate}\n${pemOf(key)}`)]) {
      if (!read.ok) throw new OrderEnded(`the certificate that the authority made is of no use: ${read.reason}`);
    }
    await entries.write({ [place]: value, [orderKey(host)]: undefined });
    return stored;
  }

  /** Without advice it is renewed by its lifetime; the advice is asked for again later. */
  async #renewalTime(
    host: string,
    certificate: string,
    now: Date,
    random: number,
  ): Promise<Pick<StoredCertificate, 'renewAt' | 'renewBy'>> {
    const validity = validityOf(certificate);
    const byLifetime = renewalByLifetime(validity, random);
    const id = certificateId(certificate);
    const advice = id === undefined ? undefined : await this.#parts.authority.renewalAdvice(id).catch(() => undefined);
    const time = advice === undefined ? byLifetime : renewalByAdvice(advice, byLifetime, validity, random);
    const kept = notTooSoon(time, now.toISOString(), validity);
    if (kept.renewAt !== time.renewAt) {
      const { renewAt } = kept;
      const cause = time.renewBy === 'advice' ? 'by the advice of the authority' : "by this balancer's clock";
      const text = `the new certificate of ${host} is due at once ${cause}; it is renewed at ${renewAt} at the earliest`;
      this.#parts.logger.warn({ event: 'certificate-due-at-once', host, renewAt }, text);
    }
    return kept;
  }

  #openKey(host: string, record: UnderWay): KeyObject {
    const opened = open(record.key, orderKey(host), this.#parts.sealingKeys);
    if (!opened.ok) throw new OrderEnded(`the private key of the order cannot be opened: ${opened.reason}`);
    return createPrivateKey(opened.value);
  }
}
