import type { KeyObject } from 'node:crypto';
import { Agent } from 'node:https';
import type * as v from 'valibot';
import {
  type Authorization,
  authorizationSchema,
  type Directory,
  directorySchema,
  type Order,
  orderSchema,
  problemOf,
  readAnswer,
  renewalInfoSchema,
} from './answers.ts';
import { AuthorityError, readRetryAfter } from './authority-error.ts';
import { type Answer, exchange } from './exchange.ts';
import { externalBinding, signRequest } from './jws.ts';

/** The account of a request: its key, and its address once it has one. */
export type Signer = { readonly key: KeyObject; readonly account: string | undefined };

export type AccountWish = {
  readonly email: string | undefined;
  /** External account binding: the key id and the key. */
  readonly eab: { readonly kid: string; readonly mac: Uint8Array } | undefined;
};

/** When the authority advises to renew a certificate, and when it is asked again. */
export type RenewalAdvice = {
  readonly start: number;
  readonly end: number;
  readonly retryAfterMs: number | undefined;
};

type Polled<T> = T & { readonly retryAfterMs: number | undefined };

const directoryMs = 3_600_000;
const mostNonceRetries = 10;
const mostNonces = 16;

/**
 * An ACME authority (RFC 8555): one request a method. It retries nothing but a refused nonce, and each request has a deadline. Its methods
 * reject with an AuthorityError.
 */
export class Authority {
  readonly #url: string;
  readonly #agent: Agent;
  readonly #signal: AbortSignal;
  readonly #wall: () => Date;
  readonly #nonces: string[] = [];
  #directory: { readonly answer: Promise<Directory>; readonly at: number } | undefined;

  /** `ca`: certificates (PEM) that prove its HTTPS, instead of the public ones. */
  constructor(parts: {
    readonly directory: string;
    readonly ca: string | undefined;
    readonly signal: AbortSignal;
    readonly wall: () => Date;
  }) {
    this.#url = parts.directory;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 8, timeout: 60_000, ca: parts.ca });
    this.#signal = parts.signal;
    this.#wall = parts.wall;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Makes the account of this key, or finds it. Gives its address. */
  async account({ email, eab }: AccountWish, key: KeyObject): Promise<string> {
    const { newAccount, meta } = await this.#resources();
    if (meta?.externalAccountRequired === true && eab === undefined) {
      throw new AuthorityError(
        'externalAccountRequired: the authority wants an account that it knows (--acme-eab-kid, --acme-eab-key)',
        { kind: 'unavailable', problem: 'externalAccountRequired' },
      );
    }
    const wish = {
      termsOfServiceAgreed: true,
      ...(email === undefined ? {} : { contact: [`mailto:${email}`] }),
      ...(eab === undefined ? {} : { externalAccountBinding: externalBinding(newAccount, key, eab) }),
    };
    const answer = await shared(this.#post(newAccount, wish, { key, account: undefined }));
    const account = answer.header('location');
    if (account === undefined) throw new AuthorityError('it gave the account no address', { kind: 'unavailable' });
    return account;
  }

  /** `replaces`: the id of the certificate that this order renews. */
  async newOrder(
    host: string,
    replaces: string | undefined,
    signer: Signer,
  ): Promise<Order & { readonly url: string }> {
    const { newOrder, renewalInfo } = await this.#resources();
    const wish = { identifiers: [{ type: 'dns', value: host }] };
    const renewing = replaces === undefined || renewalInfo === undefined ? undefined : { ...wish, replaces };
    const answer =
      renewing === undefined
        ? await this.#post(newOrder, wish, signer)
        : await this.#post(newOrder, renewing, signer).catch((error: unknown) => {
            // It does not know the certificate, or another order has replaced it already: then this order is one of its own.
            if (!isRefusal(error) || error.status === 429) throw error;
            return this.#post(newOrder, wish, signer);
          });
    const url = answer.header('location');
    if (url === undefined) throw new AuthorityError('it gave the order no address', { kind: 'unavailable' });
    return { ...readAnswer(answer, orderSchema, 'an order'), url };
  }

  order(url: string, signer: Signer): Promise<Polled<Order>> {
    return this.#read(url, orderSchema, 'an order', signer);
  }

  authorization(url: string, signer: Signer): Promise<Polled<Authorization>> {
    return this.#read(url, authorizationSchema, 'an authorization', signer);
  }

  /** Tells the authority that it may ask. */
  async answer(challenge: string, signer: Signer): Promise<void> {
    await this.#post(challenge, {}, signer);
  }

  /** `request`: in DER. */
  async finalize(url: string, request: Buffer, signer: Signer): Promise<void> {
    await this.#post(url, { csr: request.toString('base64url') }, signer);
  }

  /** The certificate and its chain (PEM). */
  async certificate(url: string, signer: Signer): Promise<string> {
    return (await this.#post(url, undefined, signer)).text;
  }

  /** Undefined: the authority gives no advice. `id`: see `certificateId`. */
  async renewalAdvice(id: string): Promise<RenewalAdvice | undefined> {
    const { renewalInfo } = await this.#resources();
    if (renewalInfo === undefined) return undefined;
    const answer = await this.#get(`${renewalInfo.replace(/\/$/, '')}/${id}`);
    const { suggestedWindow } = readAnswer(answer, renewalInfoSchema, 'advice about a renewal');
    const [start, end] = [Date.parse(suggestedWindow.start), Date.parse(suggestedWindow.end)];
    return { start, end: Math.max(start, end), retryAfterMs: this.#retryAfter(answer) };
  }

  async #read<S extends v.GenericSchema<unknown, object>>(
    url: string,
    schema: S,
    about: string,
    signer: Signer,
  ): Promise<Polled<v.InferOutput<S>>> {
    const answer = await this.#post(url, undefined, signer);
    return { ...readAnswer(answer, schema, about), retryAfterMs: this.#retryAfter(answer) };
  }

  #retryAfter(answer: Answer): number | undefined {
    return readRetryAfter(answer.header('retry-after'), this.#wall().getTime());
  }

  /** All requests that need the directory at the same time wait for one answer. */
  #resources(): Promise<Directory> {
    const now = this.#wall().getTime();
    const known = this.#directory;
    if (known !== undefined && Math.abs(now - known.at) < directoryMs) return known.answer;
    const answer = shared(
      this.#get(this.#url).then((found) => readAnswer(found, directorySchema, 'the directory of an ACME authority')),
    );
    const mine = { answer, at: now };
    this.#directory = mine;
    answer.catch(() => {
      if (this.#directory === mine) this.#directory = undefined;
    });
    return answer;
  }

  async #get(url: string): Promise<Answer> {
    const answer = await exchange({ method: 'GET', url }, this.#agent, this.#signal);
    if (answer.status >= 300) throw problemOf(answer, this.#wall().getTime());
    return answer;
  }

  async #post(url: string, payload: unknown, { key, account }: Signer): Promise<Answer> {
    for (let retries = 0; ; retries += 1) {
      const nonce = this.#nonces.pop() ?? (await shared(this.#newNonce()));
      const body = JSON.stringify(signRequest(payload, { url, nonce, account }, key));
      const answer = await exchange({ method: 'POST', url, body }, this.#agent, this.#signal);
      this.#keepNonce(answer);
      if (answer.status < 300) return answer;
      const problem = problemOf(answer, this.#wall().getTime());
      if (problem.problem !== 'badNonce') throw problem;
      if (retries >= mostNonceRetries) {
        throw new AuthorityError(problem.message, { kind: 'unavailable', problem: 'badNonce', status: answer.status });
      }
    }
  }

  async #newNonce(): Promise<string> {
    const { newNonce } = await this.#resources();
    const answer = await exchange({ method: 'HEAD', url: newNonce }, this.#agent, this.#signal);
    if (answer.status >= 300) throw problemOf(answer, this.#wall().getTime());
    const nonce = answer.header('replay-nonce');
    if (nonce === undefined) throw new AuthorityError('it gave no nonce', { kind: 'unavailable' });
    return nonce;
  }

  #keepNonce(answer: Answer): void {
    const nonce = answer.header('replay-nonce');
    if (nonce === undefined) return;
    this.#nonces.push(nonce);
    // Old ones expire.
    if (this.#nonces.length > mostNonces) this.#nonces.shift();
  }
}

/** A failure of a request that all hosts need is not about the host for which it was made. */
export async function shared<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (!(error instanceof AuthorityError) || error.isShared) throw error;
    const { problem, status, retryAfterMs } = error;
    const detail = { problem, status, retryAfterMs, isShared: true, cause: error };
    throw new AuthorityError(error.message, { kind: 'unavailable', ...detail });
  }
}

const isRefusal = (error: unknown): error is AuthorityError =>
  error instanceof AuthorityError && error.kind === 'refused';
