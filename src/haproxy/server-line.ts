import { isCommandText } from './answers.ts';

/** A `server` line of a haproxy.cfg, split into what can be changed at run time and what cannot. */
export type ServerLine = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly disabled: boolean;
  /** Whether a health check is on, which a dynamic server needs a command of its own for. */
  readonly check: boolean;
  /** All other keywords, in order, as written. */
  readonly keywords: string;
};

/** Reads a line that `server.mustache` made. Undefined when it holds what only a file can say, so that it takes a reload. */
export function parseServerLine(line: string): ServerLine | undefined {
  if (!isCommandText(line)) return undefined;
  const [directive, name, address, ...words] = line.split(/\s+/);
  if (directive !== 'server' || name === undefined || address === undefined) return undefined;
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, '$1');
  const port = Number(address.slice(colon + 1));
  if (host === '' || !Number.isInteger(port) || port < 1) return undefined;

  let weight = 1; // HAProxy's default
  let disabled = false;
  let check = false;
  const keywords: string[] = [];
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i];
    if (word === undefined || word === '') continue;
    if (word === 'weight') {
      i += 1;
      weight = Number(words[i]);
    } else if (word === 'disabled') disabled = true;
    else {
      if (word === 'check') check = true;
      keywords.push(word);
    }
  }
  return Number.isInteger(weight)
    ? { name, host, port, weight, disabled, check, keywords: keywords.join(' ') }
    : undefined;
}

/** Writes the line back; equal lines for equal values, whatever order the keywords stood in. */
export function formatServerLine(line: ServerLine): string {
  return [
    'server',
    line.name,
    formatServerAddress(line),
    `weight ${line.weight}`,
    line.keywords,
    line.disabled && 'disabled',
  ]
    .filter(Boolean)
    .join(' ');
}

export function formatServerAddress({ host, port }: Pick<ServerLine, 'host' | 'port'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
