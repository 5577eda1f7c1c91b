import { instanceKey } from '../model/key.ts';

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
