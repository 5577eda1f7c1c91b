/**
 * What becomes of an HAProxy that pointsman runs when pointsman ends. `stop`: it ends too, after its open requests.
 * `leave`: it goes on serving, and the next pointsman on the same folder takes it over.
 */
export type Ending = 'stop' | 'leave';

/** What a signal asks for. Ctrl-C leaves nothing behind, and SIGUSR2 announces a successor, whatever `onStop` says. */
export function endingAt(signal: NodeJS.Signals | undefined, onStop: Ending): Ending {
  switch (signal) {
    case 'SIGINT':
      return 'stop';
    case 'SIGUSR2':
      return 'leave';
    default:
      return onStop;
  }
}
