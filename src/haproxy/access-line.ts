/** A request or a connection that HAProxy logged, in the fields that haproxy.cfg.mustache gives it. */
export type AccessLine = { readonly event: 'request' | 'connection' } & Readonly<Record<string, string | number>>;

/** Reads a line of HAProxy's output; undefined when it is not of the access log. */
export function parseAccessLine(line: string): AccessLine | undefined {
  if (!line.startsWith('{"event":"')) return undefined;
  try {
    const json: unknown = JSON.parse(line);
    return isAccessLine(json) ? json : undefined;
  } catch {
    // Cut off at HAProxy's longest line: told as it is.
    return undefined;
  }
}

function isAccessLine(json: unknown): json is AccessLine {
  if (typeof json !== 'object' || json === null || !('event' in json)) return false;
  return json.event === 'request' || json.event === 'connection';
}
