import { instanceKey } from '../model/key.ts';

/** A request or a connection that HAProxy logged, in the fields that haproxy.cfg.mustache gives it. */
export type AccessLine = { readonly event: 'request' | 'connection' } & Readonly<Record<string, string | number>>;

/** How a line of the access log begins, also one that was cut. */
const beginning = /^\{"event":"(re|co)/;

/**
 * Reads a line of HAProxy's output; undefined when it is not of the access log. One that cannot be read, such as one that
 * HAProxy cut, is kept as text: clients write a part of it, so it must not be taken for what HAProxy says.
 */
export function parseAccessLine(line: string): AccessLine | undefined {
  const [, letters] = beginning.exec(line) ?? [];
  if (letters === undefined) return undefined;
  const unread = { event: letters === 're' ? 'request' : 'connection', line } as const;
  try {
    const json: unknown = JSON.parse(line);
    return isAccessLine(json) ? json : unread;
  } catch {
    return unread;
  }
}

function isAccessLine(json: unknown): json is AccessLine {
  if (typeof json !== 'object' || json === null || !('event' in json)) return false;
  return json.event === 'request' || json.event === 'connection';
}

/** A server that HAProxy finds well again, or not any more, as an event of the log. */
export type HealthLine = { readonly event: 'server-up' | 'server-down'; readonly key: string; readonly reason: string };

// HAProxy prints it itself and logs it: an own template may log nothing, or leave out what is good news. After a command that changed a
// server, HAProxy 2.6 begins all such lines with `CLI : `, whatever their cause.
const change =
  /^\[WARNING\] *\(\d+\) : (?:CLI : )?Server ([A-Za-z0-9._-]+)\/([A-Za-z0-9._:-]+) is (UP|DOWN)[,.] *(?:reason: (.*?))?(?:, check duration: .*|\. \d+ active .*)?$/;

/** Reads `[WARNING]  (7) : Server web/a is DOWN, reason: Layer4 timeout, check duration: …`; undefined for other lines. */
export function parseHealthLine(line: string): HealthLine | undefined {
  const [, service, id, state, reason] = change.exec(line) ?? [];
  if (service === undefined || id === undefined) return undefined;
  const event = state === 'UP' ? 'server-up' : 'server-down';
  return { event, key: instanceKey(service, id), reason: reason ?? 'HAProxy gives no reason' };
}
