import * as v from 'valibot';
import { ownHosts, patternsOver } from './host-patterns.ts';
import { parseRecord } from './json.ts';
import type { ServiceName } from './name.ts';
import { accepted, type Parsed, quote, refused } from './parsed.ts';
import { describeIssue, whole, word } from './policy/field.ts';
import { type HostPattern, parseHostPattern } from './route.ts';

/** What operators let a service claim, as `claims/<service>` holds it. What it does not say, `claims/*` says. */
export type Allowance = {
  readonly hosts: ReadonlySet<HostPattern> | undefined;
  readonly priority: number | undefined;
};

/** What a service may claim. */
export type Allowed = {
  /** Its own name is allowed always. Undefined: any host. */
  readonly hosts: ReadonlySet<HostPattern> | undefined;
  /** The largest priority that counts over other services. */
  readonly priority: number;
};

/** What a service may claim of which no operator said anything. */
export const allowedByDefault: Allowed = { hosts: undefined, priority: 0 };

const schema = v.strictObject({
  hosts: v.optional(v.pipe(v.array(word(parseHostPattern)), v.maxLength(1024))),
  priority: v.optional(whole(0, 1000)),
});

/** Reads `{"hosts":["shop.example.com","*.shop.example.com"],"priority":10}`. Unknown fields are refused. */
export function parseAllowance(value: string): Parsed<Allowance> {
  const json = parseRecord(value);
  if (!json.ok) return json;
  const result = v.safeParse(schema, Object.fromEntries(json.value), { abortEarly: true });
  if (result.success) {
    const { hosts, priority } = result.output;
    return accepted({ hosts: hosts && new Set(hosts), priority });
  }
  const [issue] = result.issues;
  const where = v.getDotPath(issue) ?? 'claim';
  return issue.type === 'strict_object' && issue.expected === 'never'
    ? refused(`${quote(where)} is not a field of a claim`)
    : refused(`${where}: ${describeIssue(issue)}`);
}

/** Whether a service may claim this host. */
export function allowsHost({ hosts }: Allowed, service: ServiceName, host: string): boolean {
  if (hosts === undefined || ownHosts(service).includes(host)) return true;
  return patternsOver(host).some((pattern) => hosts.has(pattern as HostPattern));
}

export function isSameAllowed(a: Allowed, b: Allowed): boolean {
  if (a.priority !== b.priority || a.hosts?.size !== b.hosts?.size) return false;
  return [...(a.hosts ?? [])].every((host) => b.hosts?.has(host) === true);
}
