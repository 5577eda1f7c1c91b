import type { Logger } from 'pino';
import { certificateKey } from '../model/acme/keys.ts';
import { formatStoredCertificate } from '../model/acme/stored-certificate.ts';
import { describe } from '../model/fault.ts';
import type { Revision } from '../model/revision.ts';
import { Slots } from '../waiting/serial-queue.ts';
import type { KnownCertificate } from './due.ts';
import type { LeaderEntries } from './leader-entries.ts';
import { NotWritten } from './leadership.ts';
import type { Authority } from './protocol/authority.ts';
import { certificateId } from './protocol/certificate-id.ts';
import { nextAdviceMs, notTooSoon, renewalByAdvice } from './renewal-time.ts';

export type AdvisingParts = {
  readonly authority: Authority;
  readonly directory: string;
  readonly entries: LeaderEntries;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Monotonic, in ms. */
  readonly now: () => number;
  readonly random: () => number;
};

/** How many questions are asked at once. */
const mostQuestions = 4;

type Followed = { readonly certificate: string /** When the authority is asked. */; at: number; asking: boolean };

/** Asks the authority from time to time when its certificates are to be renewed (RFC 9773): sooner, for one, if it revokes them. */
export class Advising {
  readonly #parts: AdvisingParts;
  readonly #followed = new Map<string, Followed>();
  readonly #slots = new Slots(mostQuestions);

  constructor(parts: AdvisingParts) {
    this.#parts = parts;
  }

  /** To be called at each look. A leader that begins asks at once. */
  follow(host: string, known: KnownCertificate, revision: Revision): void {
    const { directory, now, signal } = this.#parts;
    const { certificate, authority } = known.stored;
    if (authority !== directory) return;
    const before = this.#followed.get(host);
    const followed = before?.certificate === certificate ? before : { certificate, at: now(), asking: false };
    this.#followed.set(host, followed);
    if (followed.asking || now() < followed.at || signal.aborted) return;
    followed.asking = true;
    void this.#slots
      .run(host, () => this.#ask(host, known, revision, followed))
      .finally(() => {
        followed.asking = false;
      });
  }

  keepOnly(hosts: { has(host: string): boolean }): void {
    for (const host of this.#followed.keys()) if (!hosts.has(host)) this.#followed.delete(host);
  }

  /** Never rejects. */
  async #ask(
    host: string,
    { stored, validity }: KnownCertificate,
    revision: Revision,
    followed: Followed,
  ): Promise<void> {
    const { authority, entries, logger, signal, now, random } = this.#parts;
    // Also after a failure.
    followed.at = now() + nextAdviceMs({ retryAfterMs: undefined });
    try {
      const id = signal.aborted ? undefined : certificateId(stored.certificate);
      const advice = id === undefined ? undefined : await authority.renewalAdvice(id);
      if (advice === undefined) return;
      followed.at = now() + nextAdviceMs(advice);
      const advised = renewalByAdvice(advice, stored, validity, random());
      const time = notTooSoon(advised, stored.issuedAt, validity);
      if (time.renewAt === stored.renewAt && time.renewBy === stored.renewBy) return;
      await entries.replace(certificateKey(host), formatStoredCertificate({ ...stored, ...time }), revision);
      const { renewAt } = time;
      logger.info({ event: 'renewal-advised', host, renewAt }, `the authority advises to renew ${host} at ${renewAt}`);
    } catch (error) {
      if (signal.aborted || error instanceof NotWritten) return;
      const reason = describe(error);
      logger.debug({ event: 'advice-failed', host, reason }, `no advice about the renewal of ${host}: ${reason}`);
    }
  }
}
