import type { Logger } from 'pino';
import { describe } from '../model/fault.ts';
import type { LeaderAccount } from './account.ts';
import type { Challenge, Proofs } from './proofs.ts';
import { type Authorization, describeProblem, type Order } from './protocol/answers.ts';
import type { Authority, Signer } from './protocol/authority.ts';
import { keyAuthorization } from './protocol/jws.ts';

export type ProvingParts = {
  readonly authority: Pick<Authority, 'authorization' | 'answer'>;
  readonly account: LeaderAccount;
  readonly proofs: Proofs;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

/** Proves to the authority that a host is ours. */
export class Proving {
  readonly #parts: ProvingParts;

  constructor(parts: ProvingParts) {
    this.#parts = parts;
  }

  /** Answers what the authority asks. `resumed`: another leader began the order. Each answer is added to `left`: it is to be removed. */
  async prove(
    host: string,
    order: Order,
    { resumed, left, signal }: { readonly resumed: boolean; readonly left: Challenge[]; readonly signal: AbortSignal },
  ): Promise<void> {
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

  /** Removes an answer. Never rejects. */
  async remove(challenge: Challenge): Promise<void> {
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

  /** The reason that the authority gives: the challenge has it, not the order. */
  async whyInvalid({ error, authorizations }: Order): Promise<string> {
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
