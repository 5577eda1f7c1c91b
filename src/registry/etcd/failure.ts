import { describe, Fault } from '../../model/fault.ts';

/** What an error of a call means for the one who called. */
export type Failure =
  /** Ask another member, with a new client. */
  | { readonly kind: 'member'; readonly reason: string }
  /** Every member will say the same. */
  | { readonly kind: 'denied'; readonly reason: string };

/** Tells one from the other. etcd3's error classes do not survive a bundler's renaming, so the text decides. */
export function failureOf(error: unknown): Failure {
  const reason = error instanceof Fault ? error.toString() : describe(error).replace(/^\d+ [A-Z_]+: /, '');
  const denied = /permission denied|authentication failed|user name is empty|user name not found/i.test(reason);
  return { kind: denied ? 'denied' : 'member', reason };
}

/** The Fault to reject with once no member is left to ask. */
export function registryFault(failure: Failure, where: string): Fault {
  return failure.kind === 'denied'
    ? new Fault('registry-denied', failure.reason, {
        where,
        hint: 'check the user, its password and its roles in etcd',
      })
    : new Fault('registry-unreachable', failure.reason, { where, hint: 'check the address and that etcd is healthy' });
}
