import * as v from 'valibot';
import { parseDuration } from './duration.ts';
import { parseRecord } from './json.ts';
import { accepted, type Parsed, quote, refused } from './parsed.ts';
import { parseHostPattern, parsePathPrefix } from './route.ts';

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

/** One of the model's own words as a part of the schema. */
function word<T>(parse: (text: string) => Parsed<T>) {
  return v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const parsed = parse(dataset.value);
      if (parsed.ok) return parsed.value;
      addIssue({ message: parsed.reason });
      return NEVER;
    }),
  );
}

const host = word(parseHostPattern);
const path = word(parsePathPrefix);
const count = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100));
const duration = v.pipe(
  word(parseDuration),
  v.check((ms) => ms >= 50 && ms <= 3_600_000, 'it is not between 50ms and 1h'),
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
    return refused(`${where}: ${describeIssue(issue)}`);
  }
  const { mode, port, hosts, paths, balance, check } = result.output;
  if (mode === 'tcp' && port === undefined) return refused('port: a tcp service needs a port of its own');
  if (mode === 'http' && port !== undefined)
    return refused('port: only a tcp service has one (http ones share a port)');
  return accepted({ mode, port, hosts, paths, balance, check: readCheck(check) });
}

/** Valibot repeats what it received as it is; a message must not. */
function describeIssue({ kind, message, expected, received }: v.BaseIssue<unknown>): string {
  if (kind !== 'schema' || expected === null) return message;
  const what = received.startsWith('"') ? quote(received.slice(1, -1)) : quote(received).slice(1, -1);
  return `expected ${expected}, not ${what}`;
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
