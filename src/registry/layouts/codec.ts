import { formatAddress, parseAddress } from '../../model/address.ts';
import { parseRecord } from '../../model/json.ts';
import { accepted, type Parsed, quote, rejected } from '../../model/parsed.ts';

/** How a foreign tree writes an instance. */
export type Codec = 'hostport' | 'url' | 'json';

/** The fields that can be read from a JSON value, and their place there: `Addr`, or `Metadata.zone` for a nested one. */
export type Fields = Readonly<Partial<Record<'address' | 'port' | 'weight' | 'version' | 'zone', string | undefined>>>;

/** The members of our own registration, not yet checked. */
export type RawInstance = Readonly<Record<string, unknown>>;

/** Reads a foreign value into the members of our registration; what they hold is for `parseInstance` to judge. */
export function decodeInstance(codec: Codec, fields: Fields, value: string): Parsed<RawInstance> {
  switch (codec) {
    case 'hostport':
      return accepted({ address: value.trim() });
    case 'url':
      return decodeUrl(value.trim());
    case 'json':
      return decodeJson(fields, value);
  }
}

const defaultPorts: ReadonlyMap<string, number> = new Map([
  ['http:', 80],
  ['h2c:', 80],
  ['https:', 443],
]);

/** The scheme is kept in `meta.scheme`: whether HAProxy speaks TLS to a server is its service's policy. */
function decodeUrl(text: string): Parsed<RawInstance> {
  // Beyond ASCII the URL parser maps what looks alike: a full-width "１２７.0.0.1" is 127.0.0.1 to it.
  if (!/^[\x21-\x7e]{1,2048}$/.test(text) || !URL.canParse(text)) return rejected(`${quote(text)} is not a URL`);
  const url = new URL(text);
  const port = url.port === '' ? defaultPorts.get(url.protocol) : Number(url.port);
  if (port === undefined || !defaultPorts.has(url.protocol))
    return rejected(`${quote(text)} is not an http, https or h2c URL`);
  if (url.username !== '' || url.password !== '')
    return rejected('a URL with a user or a password is not the address of a server');
  const address = parseAddress(`${url.hostname}:${port}`);
  if (!address.ok) return address;
  return accepted({ address: formatAddress(address.value), meta: { scheme: url.protocol.slice(0, -1) } });
}

const wholeNumber = /^[0-9]{1,9}$/;

function decodeJson(fields: Fields, value: string): Parsed<RawInstance> {
  const record = parseRecord(value);
  if (!record.ok) return record;
  const members = Object.entries(fields).flatMap(([name, path]) => {
    const found = path === undefined ? undefined : lookUp(record.value, path.split('.'));
    if (found === undefined || found === null) return [];
    // Many write a port as text.
    const isNumber = (name === 'port' || name === 'weight') && typeof found === 'string' && wholeNumber.test(found);
    return [[name, isNumber ? Number(found) : found]];
  });
  return accepted(Object.fromEntries(members));
}

/** Whether a JSON value has no such field, or an empty text there. A value that is not JSON lacks no field: it is refused as such. */
export function lacks(value: string, field: string): boolean {
  const record = parseRecord(value);
  if (!record.ok) return false;
  const found = lookUp(record.value, field.split('.'));
  return found === undefined || found === null || found === '';
}

function lookUp(record: ReadonlyMap<string, unknown>, [first = '', ...rest]: readonly string[]): unknown {
  const found = record.get(first);
  if (rest.length === 0) return found;
  if (typeof found !== 'object' || found === null) return undefined;
  return lookUp(new Map(Object.entries(found)), rest);
}

/** The names in a key that matches. */
type KeyMatch = { readonly service: string | undefined; readonly id: string | undefined };

/** A compiled pattern; undefined for a key that does not match. */
export type KeyPattern = {
  readonly match: (key: string) => KeyMatch | undefined;
  readonly has: ReadonlySet<'service' | 'id'>;
};

const pieces = /\*\*|\*|\{[^}]*\}|[^*{}]+|[{}]/g;

/**
 * Compiles a pattern such as `http/services/{service}/loadbalancer/servers/{id}/url`. `{service}` and `{id}` match one or more
 * characters other than "/", `*` the same without a name, and `**` (a whole part) anything. With `ignoreCase`, the rest matches
 * in upper and lower case.
 */
export function compileKeyPattern(pattern: string, ignoreCase = false): Parsed<KeyPattern> {
  const has = new Set<'service' | 'id'>();
  let source = '';
  let before: 'open' | 'literal' = 'literal';
  for (const piece of pattern.match(pieces) ?? []) {
    const open = piece === '*' || piece === '**' || piece.startsWith('{');
    // Two side by side could be split in many ways, which is ambiguous to read and slow to match.
    if (open && before === 'open')
      return rejected(`${quote(pattern)}: put a character between ${quote(piece)} and the part before it`);
    before = open ? 'open' : 'literal';
    if (piece === '{service}' || piece === '{id}') {
      const name = piece === '{id}' ? 'id' : 'service';
      if (has.has(name)) return rejected(`${quote(pattern)}: ${piece} occurs twice`);
      has.add(name);
      source += `(?<${name}>[^/]+)`;
    } else if (piece === '**') source += '.*';
    else if (piece === '*') source += '[^/]+';
    else if (/[{}]/.test(piece)) return rejected(`${quote(pattern)}: ${quote(piece)} is neither {service} nor {id}`);
    else source += piece.replace(/[\\^$.|?+()[\]]/g, '\\$&');
  }
  if (source === '') return rejected('a key pattern is empty');
  const regex = new RegExp(`^${source}$`, ignoreCase ? 'is' : 's');
  return accepted({
    has,
    match(key) {
      const groups = regex.exec(key);
      return groups === null ? undefined : { service: groups.groups?.['service'], id: groups.groups?.['id'] };
    },
  });
}
