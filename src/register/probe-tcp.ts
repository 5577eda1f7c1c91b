import { connect } from 'node:net';
import { type CheckOutcome, fails, passes } from './outcome.ts';

/** Passes when the application accepts a connection, which is then closed. */
export function probeTcp({ host, port }: { host: string; port: number }, signal: AbortSignal): Promise<CheckOutcome> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (outcome: CheckOutcome) => {
      signal.removeEventListener('abort', cut);
      // Closed, not reset: a Node application that does not expect one is ended by ECONNRESET.
      socket.destroy();
      resolve(outcome);
    };
    const cut = () => end(fails('no answer in time'));
    signal.addEventListener('abort', cut, { once: true });
    socket.once('connect', () => end(passes));
    socket.once('error', (error) => end(fails(error.message)));
    if (signal.aborted) cut();
  });
}
