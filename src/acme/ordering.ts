import { createPrivateKey, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import { certificateKey, orderKey, renewalKey } from '../model/acme/keys.ts';
import { formatOrderRecord, type OrderRecord, parseOrderRecord } from '../model/acme/order-record.ts';
import { open, type SealingKeys } from '../model/acme/sealing.ts';
import {
  formatStoredCertificate,
  parseStoredCertificate,
  type StoredCertificate,
} from '../model/acme/stored-certificate.ts';
import { parseCertificate } from '../model/certificate.ts';
import { describe } from '../model/fault.ts';
import type { Rest } from '../waiting/serial-queue.ts';
import { aborted, timeLimit, withTimeLimit } from '../waiting/time-limit.ts';
import type { LeaderAccount } from './account.ts';
import { flawOf, validityOf } from './known-certificate.ts';
import type { LeaderEntries } from './leader-entries.ts';
import { makePrivateKey, pemOf } from './private-key.ts';
import type { Challenge, Proofs } from './proofs.ts';
import { type Authorization, describeProblem, type Order } from './protocol/answers.ts';
import type { Authority, Signer } from './protocol/authority.ts';
import { AuthorityError } from './protocol/authority-error.ts';
import { certificateId } from './protocol/certificate-id.ts';
import { certificateRequest } from './protocol/certificate-request.ts';
import { keyAuthorization } from './protocol/jws.ts';
import { notTooSoon, renewalByAdvice, renewalByLifetime } from './renewal-time.ts';
import { sealKey } from './seal-key.ts';

export type OrderingParts = {
  readonly authority: Authority;
  /** The address of its directory. */
  readonly directory: string;
  readonly account: LeaderAccount;
  readonly entries: LeaderEntries;
  readonly proofs: Proofs;
  readonly sealingKeys: SealingKeys;
  readonly keyType: 'ecdsa' | 'rsa';
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly wall: () => Date;
  readonly random: () => number;
};

/** The authority has ended the order: the next attempt begins with another one. */
export class OrderEnded extends Error {
  override readonly name = 'OrderEnded';
}

/** Whether the authority refuses it for good. */
const isEnd = (error: unknown): error is AuthorityError =>
  error instanceof AuthorityError && error.kind === 'refused' && error.status !== 429;

/** An order that is under way. */
type UnderWay = OrderRecord & { readonly order: string; readonly key: string };

type Proving = {
  /** Whether another leader began the order. */
  readonly resumed: boolean;
  /** The answers that are to be removed. */
  readonly left: Challenge[];
  readonly rest: Rest;
  readonly signal: AbortSignal;
};

/** How long an order may take, in ms. It is not lost then, but its host makes room for others. */
const orderMs = 600_000;
const poll = { firstMs: 100, mostMs: 5000, factor: 1.5 };

/**
 * Carries out the order of one host. The authority's word alone decides what the next step is, so an order that another leader began goes on
 * wherever it stopped. Rejects with an OrderEnded, an AuthorityError, a NotWritten or another Error.
 */
export class Ordering {
  readonly #parts: OrderingParts;

  constructor(parts: OrderingParts) {
    this.#parts = parts;
  }

  /** While the authority works, the order waits by `rest`: so it keeps no other one from being carried out. */
  async order(host: string, reason: OrderRecord['reason'], rest: Rest): Promise<StoredCertificate> {
    // Who asks for a new certificate gets a new order: the one under way may be what does not work.
    const isAsked = this.#parts.entries.get(renewalKey(host)) !== undefined;
    const resumed = isAsked ? undefined : await this.#resume(host);
    const record = resumed ?? (await this.#begin(host, reason));
    const left: Challenge[] = [];
    try {
      const proving = { resumed: resumed !== undefined, left, rest };
      return await withTimeLimit(orderMs, this.#parts.signal, (signal) =>
        this.#carryOut(host, record, { ...proving, signal }),
      );
    } finally {
      for (const challenge of left) await this.#remove(challenge);
    }
  }

  /** The order that is under way, if the authority still knows it. */
  async #resume(host: string): Promise<UnderWay | undefined> {
    const { entries, account, authority, directory, sealingKeys } = this.#parts;
    const seen = entries.get(orderKey(host));
    const parsed = seen === undefined ? undefined : parseOrderRecord(seen.value);
    if (parsed?.ok !== true || parsed.value.authority !== directory) return undefined;
    const { order, key } = parsed.value;
    if (order === undefined || key === undefined || !open(key, orderKey(host), sealingKeys).ok) return undefined;
    try {
      const { status } = await account.run((signer) => authority.order(order, signer));
      if (status === 'invalid') return undefined;
    } catch (error) {
      if (isEnd(error)) return undefined;
      throw error;
    }
    return { ...parsed.value, order, key };
  }

  /** The record is written before the authority is asked: a balancer that does not lead any more, or cannot write, makes no order. */
  async #begin(host: string, reason: OrderRecord['reason']): Promise<UnderWay> {
    const { entries, account, authority, directory, sealingKeys, keyType } = this.#parts;
    const pem = pemOf(await makePrivateKey(keyType));
    const failures = this.#failuresOf(host);
    const waiting: OrderRecord = {
      ...{ reason, stage: 'waiting', order: undefined, key: undefined, authority: directory, failures },
      ...{ error: undefined, nextTry: undefined },
    };
    await entries.write({ [orderKey(host)]: formatOrderRecord(waiting) });
    const replaces = this.#renewed(host);
    const { url } = await account.run((signer) => authority.newOrder(host, isIP(host) !== 0, replaces, signer));
    const key = sealKey(pem, orderKey(host), sealingKeys);
    const record: UnderWay = { ...waiting, stage: 'ordered', order: url, key };
    // The wish is fulfilled by this order.
    await entries.write({ [orderKey(host)]: formatOrderRecord(record), [renewalKey(host)]: undefined });
    return record;
  }

  #failuresOf(host: string): number {
    const seen = this.#parts.entries.get(orderKey(host));
    const before = seen === undefined ? undefined : parseOrderRecord(seen.value);
    return before?.ok === true ? before.value.failures : 0;
  }

  /** The id of the certificate that the order renews, if this authority made it. */
  #renewed(host: string): string | undefined {
    const { entries, directory } = this.#parts;
    const seen = entries.get(certificateKey(host));
    const stored = seen === undefined ? undefined : parseStoredCertificate(seen.value);
    if (stored?.ok !== true || stored.value.authority !== directory) return undefined;
    try {
      return certificateId(stored.value.certificate);
    } catch {
      return undefined;
    }
  }

  async #carryOut(host: string, record: UnderWay, proving: Proving): Promise<StoredCertificate> {
    const { authority, account } = this.#parts;
    const { signal } = proving;
    const done = { proved: false, finalized: false };
    for (let waitMs: number = poll.firstMs; ; waitMs = Math.min(waitMs * poll.factor, poll.mostMs)) {
      const order = await account.run((signer) => authority.order(record.order, signer));
      switch (order.status) {
        case 'pending':
          if (done.proved) break;
          await this.#prove(host, order, proving);
          await this.#tell(host, record, 'answered');
          done.proved = true;
          continue;
        case 'ready':
          if (done.finalized) break;
          await this.#finalize(host, order, record);
          await this.#tell(host, record, 'finalized');
          done.finalized = true;
          continue;
        case 'processing':
          break;
        case 'valid':
          return this.#store(host, order, record);
        case 'invalid':
          throw new OrderEnded(await this.#whyInvalid(order));
      }
      const pollMs = Math.max(waitMs, order.retryAfterMs ?? 0);
      await proving.rest(() => aborted(timeLimit(pollMs, signal)));
      if (signal.aborted) throw new Error(`the authority has not ended the order after ${orderMs / 60_000} minutes`);
    }
  }

  async #tell(host: string, record: UnderWay, stage: OrderRecord['stage']): Promise<void> {
    await this.#parts.entries.write({ [orderKey(host)]: formatOrderRecord({ ...record, stage }) });
  }

  /** Answers what the authority asks. */
  async #prove(host: string, order: Order, { resumed, left, signal }: Proving): Promise<void> {
    const { authority, account, proofs } = this.#parts;
    for (const url of order.authorizations) {
      const { challenges, status } = await account.run((signer) => authority.authorization(url, signer));
      const asked = challenges.find(({ type }) => type === proofs.type);
      const challenge = asked?.token === undefined ? undefined : await this.#challenge(host, asked.token);
      if (status === 'valid') {
        // The leader before has proved it, and may not have removed the answer.
        if (resumed && challenge !== undefined) left.push(challenge);
        continue;
      }
      if (asked?.url === undefined || challenge === undefined) throw new Error(whyNot(challenges, proofs.type));
      const address = asked.url;
      left.push(challenge);
      await proofs.prepare(challenge, signal);
      // Of one that was answered before, the authority's own verdict comes.
      if (asked.status === undefined || asked.status === 'pending') {
        await account.run((signer) => authority.answer(address, signer));
      }
    }
  }

  async #challenge(host: string, token: string): Promise<Challenge> {
    const { key } = await this.#parts.account.signer();
    return { host: host.replace(/^\*\./, ''), token, keyAuthorization: keyAuthorization(token, key) };
  }

  async #remove(challenge: Challenge): Promise<void> {
    const { proofs, logger, signal } = this.#parts;
    // If this balancer does not lead any more, the next leader removes it.
    if (signal.aborted) return;
    try {
      await proofs.remove(challenge, signal);
    } catch (error) {
      if (signal.aborted) return;
      const reason = describe(error);
      logger.warn(
        { event: 'challenge-left', host: challenge.host, reason },
        `the answer for ${challenge.host} was not removed: ${reason}`,
      );
    }
  }

  async #finalize(host: string, { finalize }: Order, record: UnderWay): Promise<void> {
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

  #openKey(host: string, record: UnderWay): KeyObject {
    const opened = open(record.key, orderKey(host), this.#parts.sealingKeys);
    if (!opened.ok) throw new OrderEnded(`the private key of the order cannot be opened: ${opened.reason}`);
    return createPrivateKey(opened.value);
  }

  async #store(host: string, order: Order, record: UnderWay): Promise<StoredCertificate> {
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

  /** The reason that the authority gives: the challenge has it, not the order. */
  async #whyInvalid({ error, authorizations }: Order): Promise<string> {
    const { authority, account, proofs } = this.#parts;
    const read = (url: string, signer: Signer): Promise<Authorization> => authority.authorization(url, signer);
    for (const url of authorizations) {
      const found = await account.run((signer) => read(url, signer)).catch(() => undefined);
      for (const challenge of found?.challenges ?? []) {
        const reason = challenge.error && describeProblem(challenge.error);
        if (reason !== undefined) return withHint(reason, proofs.type);
      }
    }
    return (error && describeProblem(error)) ?? 'the authority has ended the order without a reason';
  }
}

/** An HAProxy outlives a pointsman that is killed: it answers, without the challenges that came later. */
export const withHint = (reason: string, type: Proofs['type']): string =>
  type === 'http-01' && /^(unauthorized|incorrectResponse)\b/.test(reason)
    ? `${reason} (a balancer that is not in \`pointsman status\` may still answer for this host)`
    : reason;

const whyNot = (challenges: Authorization['challenges'], type: string): string =>
  `the authority does not offer ${type} for this host, only ${challenges.map((one) => one.type).join(', ') || 'nothing'}`;
