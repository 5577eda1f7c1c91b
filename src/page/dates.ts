const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;

const fields = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' } as const;
const date = { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' } as const;
const clockFormat = new Intl.DateTimeFormat('en-GB', fields);
const shortFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dayFormat = new Intl.DateTimeFormat('en-GB', date);
const fullFormat = new Intl.DateTimeFormat('en-GB', { ...date, ...fields, timeZoneName: 'short' });

/** `21:55:03`. */
export const clockOf = (at: Date): string => clockFormat.format(at);
/** `21:55`. */
export const shortClockOf = (at: Date): string => shortFormat.format(at);
/** `Sun, 29 Nov 2026`. */
export const dayOf = (at: Date): string => dayFormat.format(at);
/** `Sun, 29 Nov 2026, 21:55:03 UTC`. */
export const fullOf = (at: Date): string => fullFormat.format(at);
/** The time zone of all times on the page: `Europe/Berlin`. */
export const zoneName = (): string => zone;
