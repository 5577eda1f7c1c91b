import { constants } from 'node:os';

/** The default action of it is to do nothing: an application without a handler does not notice it. */
export const harmlessSignal = constants.signals.SIGURG;

/** The number of a signal as engines write it: `SIGURG`, `URG`, `23`, 23. Undefined for none, and for one that is unknown. */
export function signalNumber(signal: string | number): number | undefined {
  if (typeof signal === 'number') return signal > 0 ? signal : undefined;
  if (/^\d+$/.test(signal)) return signalNumber(Number(signal));
  const name = signal.startsWith('SIG') ? signal : `SIG${signal}`;
  return Object.entries(constants.signals).find(([known]) => known === name)?.[1];
}
