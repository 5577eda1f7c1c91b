/** What a check found, in words: HAProxy's own (`Layer4 connection problem`) or the code of its statistics (`L4CON`). */
const findings: readonly (readonly [RegExp, string])[] = [
  [/^(Layer4 timeout|L4TOUT)/, 'no connection in time'],
  [/^(Layer4 connection problem|L4CON)/, 'it cannot be connected to'],
  [/^(Layer6 timeout|L6TOUT)/, 'no TLS handshake in time'],
  [/^(Layer6 invalid response|L6RSP)/, 'its TLS handshake failed'],
  [/^(Layer7 timeout|L7TOUT)/, 'no answer in time'],
  [/^(Layer7 invalid response|L7RSP)/, 'its answer is not what the check expects'],
  [/^(Layer7 wrong status|L7STS)/, 'HTTP status'],
  [/^(Health analyze|HANA)\b/, 'requests to it failed'],
  [/^(External check timeout|PROCTOUT)/, 'the check command did not end in time'],
  [/^(External check error|PROCERR)/, 'the check command failed'],
  [/^(Socket error|SOCKERR)/, 'HAProxy could not open a connection'],
];

/** Words of the operating system for a connection that fails, which say it all. */
const ofSystem = /(connection (?:refused|reset by peer)|no route to host|network is unreachable|host is down)/i;

/**
 * Why a check failed, for a person: `connection refused`, `HTTP status 503 (Service Unavailable)`. `text` begins with the result, and
 * the rest is what HAProxy adds: `, code: 503, info: "Service Unavailable"` in its log, ` 503 Service Unavailable` in its statistics.
 */
export function describeFailedCheck(text: string): string {
  const found = findings.find(([pattern]) => pattern.test(text));
  if (found === undefined) return text;
  const rest = text.replace(found[0], '').trim();
  const [, code = ''] = /^(?:, code: |: )?(\d{3})\b/.exec(rest) ?? [];
  const [, info = rest.replace(/^(?:, code: \d+|: )?(?:\d{3}\b)?,? ?/, '')] = /info: "(.*?)"/.exec(rest) ?? [];
  const [system] = ofSystem.exec(info) ?? [];
  if (system !== undefined) return system.toLowerCase();
  const status = found[1] === 'HTTP status';
  if (status && code === '') return info === '' ? 'another HTTP status than the check expects' : `HTTP status: ${info}`;
  const said = status ? `HTTP status ${code}` : found[1];
  return info === '' ? said : `${said} (${info})`;
}
