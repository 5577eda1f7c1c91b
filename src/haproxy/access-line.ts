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
