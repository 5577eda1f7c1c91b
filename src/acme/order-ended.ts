import { AuthorityError } from './protocol/authority-error.ts';

/** The authority has ended the order: the next attempt begins with another one. */
export class OrderEnded extends Error {
  override readonly name = 'OrderEnded';
}

/** Whether the authority refuses it for good. */
export const isEnd = (error: unknown): error is AuthorityError =>
  error instanceof AuthorityError && error.kind === 'refused' && error.status !== 429;
