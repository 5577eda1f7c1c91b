import { certificateKey, orderKey, renewalKey } from '../model/acme/keys.ts';
import { formatOrderRecord, type OrderRecord, parseOrderRecord } from '../model/acme/order-record.ts';
import { open } from '../model/acme/sealing.ts';
import { parseStoredCertificate, type StoredCertificate } from '../model/acme/stored-certificate.ts';
import type { Rest } from '../waiting/serial-queue.ts';
import { aborted, timeLimit, withTimeLimit } from '../waiting/time-limit.ts';
import { Issuing, type IssuingParts, type UnderWay } from './issuing.ts';
import { isEnd, OrderEnded } from './order-ended.ts';
import { makePrivateKey, pemOf } from './private-key.ts';
import type { Challenge } from './proofs.ts';
import type { Authority } from './protocol/authority.ts';
import { certificateId } from './protocol/certificate-id.ts';
import { Proving, type ProvingParts } from './proving.ts';
import { sealKey } from './seal-key.ts';

export type OrderingParts = ProvingParts &
  IssuingParts & {
    readonly authority: Authority;
    readonly keyType: 'ecdsa' | 'rsa';
  };

type Attempt = {
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
  readonly #proving: Proving;
  readonly #issuing: Issuing;

  constructor(parts: OrderingParts) {
    this.#parts = parts;
    this.#proving = new Proving(parts);
    this.#issuing = new Issuing(parts);
  }

  /** While the authority works, the order waits by `rest`: so it keeps no other one from being carried out. */
  async order(host: string, reason: OrderRecord['reason'], rest: Rest): Promise<StoredCertificate> {
    // Who asks for a new certificate gets a new order: the one under way may be what does not work.
    const isAsked = this.#parts.entries.get(renewalKey(host)) !== undefined;
    const resumed = isAsked ? undefined : await this.#resume(host);
    const record = resumed ?? (await this.#begin(host, reason));
    const left: Challenge[] = [];
    try {
      return await withTimeLimit(orderMs, this.#parts.signal, (signal) =>
        this.#carryOut(host, record, { resumed: resumed !== undefined, left, rest, signal }),
      );
    } finally {
      for (const challenge of left) await this.#proving.remove(challenge);
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
    const { url } = await account.run((signer) => authority.newOrder(host, replaces, signer));
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

  async #carryOut(host: string, record: UnderWay, attempt: Attempt): Promise<StoredCertificate> {
    const { authority, account } = this.#parts;
    const { signal, rest } = attempt;
    const done = { proved: false, finalized: false };
    for (let waitMs: number = poll.firstMs; ; waitMs = Math.min(waitMs * poll.factor, poll.mostMs)) {
      const order = await account.run((signer) => authority.order(record.order, signer));
      switch (order.status) {
        case 'pending':
          if (done.proved) break;
          await this.#proving.prove(host, order, attempt);
          await this.#tell(host, record, 'answered');
          done.proved = true;
          continue;
        case 'ready':
          if (done.finalized) break;
          await this.#issuing.finalize(host, order, record);
          await this.#tell(host, record, 'finalized');
          done.finalized = true;
          continue;
        case 'processing':
          break;
        case 'valid':
          return this.#issuing.store(host, order, record);
        case 'invalid':
          throw new OrderEnded(await this.#proving.whyInvalid(order));
      }
      const pollMs = Math.max(waitMs, order.retryAfterMs ?? 0);
      await rest(() => aborted(timeLimit(pollMs, signal)));
      if (signal.aborted) throw new Error(`the authority has not ended the order after ${orderMs / 60_000} minutes`);
    }
  }

  async #tell(host: string, record: UnderWay, stage: OrderRecord['stage']): Promise<void> {
    await this.#parts.entries.write({ [orderKey(host)]: formatOrderRecord({ ...record, stage }) });
  }
}
