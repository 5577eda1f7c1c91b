import * as v from 'valibot';
import { parseHost } from './address.ts';
import { parseDuration } from './duration.ts';
import { parseRecord } from './instance.ts';
import { accepted, type Parsed, quote, refused } from './parsed.ts';

/** How the balancer asks a server whether it works. Times in ms. */
type HealthCheck =
  | { readonly kind: 'none' }
  | { readonly kind: 'tcp'; readonly intervalMs: number; readonly rise: number; readonly fall: number }
  | {
      readonly kind: 'http';
      readonly path: string;
      readonly intervalMs: number;
      readonly rise: number;
      readonly fall: number;
    };

/** What an operator declares about a service in `services/<service>`; a service without one gets `defaultPolicy`. */
export type Policy = {
  readonly mode: 'http' | 'tcp';
  /** The port on which a `tcp` service is offered; `http` services share the balancer's own. */
  readonly port: number | undefined;
  /** Exact (`shop.example.com`), `*.example.com`, `shop.*` or `*` (any host). Empty: `<service>` and `<service>.*`. */
  readonly hosts: readonly string[];
  /** Path prefixes, matched at segment borders; the longest wins. */
  readonly paths: readonly string[];
  readonly balance: 'leastconn' | 'roundrobin' | 'random' | 'first' | 'source';
  readonly check: HealthCheck;
};

/** HTTP on the service's own name, least connections, a TCP check every 2 s: what most services want. */
export const defaultPolicy: Policy = {
  mode: 'http',
  port: undefined,
  hosts: [],
  paths: ['/'],
  balance: 'leastconn',
  check: { kind: 'tcp', intervalMs: 2000, rise: 1, fall: 3 },
};

const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

function isHostPattern(text: string): boolean {
  if (text === '*') return true;
  if (text.startsWith('*.')) return isHostPattern(text.slice(2)) && !text.slice(2).includes('*');
  if (text.endsWith('.*')) return label.test(text.slice(0, -2));
  return text === text.toLowerCase() && parseHost(text).ok;
}

// RFC 3986 path characters without the sub-delimiters and escapes that mean something to a configuration or a map file.
const pathPattern = /^\/[A-Za-z0-9._~/@:+-]{0,254}$/;

const host = v.pipe(
  v.string(),
  v.maxLength(253),
  v.check(isHostPattern, 'is not a host: lower case "shop.example.com", "*.example.com", "shop.*" or "*"'),
);
const path = v.pipe(v.string(), v.regex(pathPattern, 'is not a path: "/" and then A-Z a-z 0-9 . _ ~ / @ : + -'));
const count = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100));
const duration = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const parsed = parseDuration(dataset.value);
    if (parsed.ok && parsed.value >= 50 && parsed.value <= 3_600_000) return parsed.value;
    addIssue({ message: parsed.ok ? 'is not between 50ms and 1h' : parsed.reason });
    return NEVER;
  }),
);
const timing = { interval: v.optional(duration, '2s'), rise: v.optional(count, 1), fall: v.optional(count, 3) };

const checkSchema = v.variant('kind', [
  v.strictObject({ kind: v.literal('none') }),
  v.strictObject({ kind: v.literal('tcp'), ...timing }),
  v.strictObject({ kind: v.literal('http'), path: v.optional(path, '/'), ...timing }),
]);

const schema = v.strictObject({
  mode: v.optional(v.picklist(['http', 'tcp']), defaultPolicy.mode),
  port: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535))),
  hosts: v.optional(v.pipe(v.array(host), v.maxLength(64)), []),
  paths: v.optional(v.pipe(v.array(path), v.minLength(1), v.maxLength(64)), ['/']),
  balance: v.optional(v.picklist(['leastconn', 'roundrobin', 'random', 'first', 'source']), defaultPolicy.balance),
  check: v.optional(checkSchema, { kind: 'tcp' }),
});

/** Reads a policy's JSON. An unknown field is refused: it is more likely mistyped than meant for a newer version. */
export function parsePolicy(value: string): Parsed<Policy> {
  const json = parseRecord(value);
  if (!json.ok) return json;
  const result = v.safeParse(schema, Object.fromEntries(json.value), { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const where = v.getDotPath(issue) ?? 'policy';
    if (issue.type === 'strict_object') return refused(`${quote(where)} is not a field of a policy`);
    return refused(`${where}: ${issue.message}`);
  }
  const { mode, port, hosts, paths, balance, check } = result.output;
  if (mode === 'tcp' && port === undefined) return refused('port: a tcp service needs a port of its own');
  if (mode === 'http' && port !== undefined)
    return refused('port: only a tcp service has one (http ones share a port)');
  return accepted({ mode, port, hosts, paths, balance, check: readCheck(check) });
}

function readCheck(check: v.InferOutput<typeof checkSchema>): HealthCheck {
  switch (check.kind) {
    case 'none':
      return { kind: 'none' };
    case 'tcp':
      return { kind: 'tcp', intervalMs: check.interval, rise: check.rise, fall: check.fall };
    case 'http':
      return { kind: 'http', path: check.path, intervalMs: check.interval, rise: check.rise, fall: check.fall };
  }
}
