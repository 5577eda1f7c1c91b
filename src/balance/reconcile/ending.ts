/**
 * How a managed HAProxy ends with pointsman. `stop`: HAProxy ends too, after its open requests. `leave`: HAProxy goes on serving, and
 * the next pointsman on the same folder takes it over.
 */
export type Ending = 'stop' | 'leave';

/**
 * How long HAProxy goes on serving after a signal before it stops, in ms. Ctrl-C is somebody at a terminal who waits, and an HAProxy that
 * is left to a successor does not stop.
 */
export const lameDuckAt = (signal: NodeJS.Signals | undefined, onStop: Ending, lameDuckMs: number): number =>
  signal === 'SIGTERM' && endingAt(signal, onStop) === 'stop' ? lameDuckMs : 0;

/** The ending that a signal asks for. Ctrl-C always stops HAProxy; SIGUSR2 announces a successor, so HAProxy goes on. */
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
