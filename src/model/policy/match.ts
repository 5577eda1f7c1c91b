import * as v from 'valibot';
import { parseCookieName, parseHeaderName } from '../header.ts';
import { accepted, type Brand, type Parsed, quote, rejected } from '../parsed.ts';
import { parseBoundedRegex } from './bounded-regex.ts';
import { parsedText } from './field.ts';

type Test = { readonly kind: 'exact' | 'prefix' | 'regex'; readonly value: string };

/** What one value of a request has to be. */
export type Condition = { readonly of: 'header' | 'cookie' | 'query'; readonly name: string; readonly test: Test };

/** Conditions on a request that all have to be true, besides its host and its path. */
export type Match = {
  /** Empty: any. */
  readonly methods: readonly string[];
  /** In the order in which they are tested. */
  readonly conditions: readonly Condition[];
};

/** A match as the route map has it, for `haproxy/match.lua`: one condition after another. */
export type MatchText = Brand<string, 'MatchText'>;

const mostConditions = 16;
const mostCharacters = 256;
// All of it is one line of the route map and one command of HAProxy.
const longestText = 4096;

const text = v.pipe(
  v.string(),
  v.check((value) => value.length <= mostCharacters, `it has more than ${mostCharacters} characters`),
  v.check((value) => /^[\x20-\x7e]*$/.test(value), 'it is not printable ASCII'),
);

const exact = v.pipe(
  text,
  v.check((value) => value !== '', 'it is empty: {"prefix": ""} matches any value'),
  v.transform((value): Test => ({ kind: 'exact', value })),
);

const regex = parsedText((given) => {
  const parsed = parseBoundedRegex(given);
  return parsed.ok ? accepted(parsed.value.text) : parsed;
});

const byKind = v.pipe(
  v.strictObject({ exact: v.optional(exact), prefix: v.optional(text), regex: v.optional(regex) }),
  v.check((given) => Object.keys(given).length === 1, 'it needs one of "exact", "prefix" and "regex"'),
  v.transform(({ exact: known, prefix, regex: expression }): Test => {
    if (known !== undefined) return known;
    return prefix === undefined ? { kind: 'regex', value: expression ?? '' } : { kind: 'prefix', value: prefix };
  }),
);

/** `"2"`, or `{"exact": "2"}`, `{"prefix": "2"}` or `{"regex": "^2"}`. Chosen by its type, so that a message names what is wrong. */
const test = v.lazy((given): typeof exact | typeof byKind => (typeof given === 'object' ? byKind : exact));

function parseQueryName(given: string): Parsed<string> {
  return /^[A-Za-z0-9._~[\]-]{1,64}$/.test(given)
    ? accepted(given)
    : rejected(`${quote(given)} is not a query parameter: 1 to 64 of A-Z a-z 0-9 . _ ~ [ ] -`);
}

const method = v.pipe(
  v.string(),
  v.check((value) => /^[A-Z][A-Z-]{0,31}$/.test(value), 'it is not a method such as "GET", in capitals'),
);
const methods = v.pipe(v.array(method), v.minLength(1), v.maxLength(16));
const oneMethod = v.pipe(
  method,
  v.transform((value): string[] => [value]),
);

const named = (of: Condition['of'], parseName: (name: string) => Parsed<string>) =>
  v.pipe(
    v.record(v.string(), test),
    v.rawTransform(({ dataset, addIssue, NEVER }): readonly Condition[] => {
      const conditions: Condition[] = [];
      for (const [given, value] of Object.entries(dataset.value)) {
        const name = parseName(given);
        if (!name.ok) {
          addIssue({ message: name.reason });
          return NEVER;
        }
        conditions.push({ of, name: of === 'header' ? name.value.toLowerCase() : name.value, test: value });
      }
      return conditions;
    }),
  );

export const matchField = v.pipe(
  v.strictObject({
    method: v.optional(
      v.lazy((given): typeof methods | typeof oneMethod => (typeof given === 'string' ? oneMethod : methods)),
    ),
    headers: v.optional(named('header', parseHeaderName)),
    cookies: v.optional(named('cookie', parseCookieName)),
    query: v.optional(named('query', parseQueryName)),
  }),
  v.transform(({ method: given, headers, cookies, query }): Match => {
    const conditions = [...(headers ?? []), ...(cookies ?? []), ...(query ?? [])];
    return { methods: [...new Set(given ?? [])].sort(), conditions: [...conditions].sort(byCost) };
  }),
  v.check(
    (match) => countOf(match) > 0,
    'it has no condition: leave the field out, or give one of "method", "headers", "cookies" and "query"',
  ),
  v.check(({ conditions }) => conditions.length <= mostConditions, `it has more than ${mostConditions} conditions`),
  v.check((match) => matchText(match).length <= longestText, `it is longer than ${longestText} characters`),
);

/** Those that take the least time first; equal matches have one order, however they are written. */
function byCost(a: Condition, b: Condition): number {
  const isRegex = (condition: Condition) => Number(condition.test.kind === 'regex');
  const [one, other] = [conditionText(a), conditionText(b)];
  return isRegex(a) - isRegex(b) || (one < other ? -1 : +(one !== other));
}

/** How many conditions there are: of two matches that fit a request, the one with more of them wins. */
const countOf = ({ methods: given, conditions }: Match): number => conditions.length + Number(given.length > 0);

const letters = { header: 'h', cookie: 'c', query: 'q', exact: 'e', prefix: 'p', regex: 'r' } as const;

const conditionText = ({ of, name, test: { kind, value } }: Condition): string =>
  `${letters[of]}${letters[kind]}:${escaped(name)}:${escaped(value)}`;

/** Everything but letters, digits and a few marks as `%XX`, so that no map and no command reads anything into it. */
const escaped = (given: string): string =>
  given.replace(/[^A-Za-z0-9._-]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);

export function matchText({ methods: given, conditions }: Match): MatchText {
  const parts = given.length === 0 ? [] : [`m:${given.join(',')}`];
  return [...parts, ...conditions.map(conditionText)].join('&') as MatchText;
}

const conditionForm = '[hcq][epr]:[A-Za-z0-9._%-]+:[A-Za-z0-9._%-]*';
const form = new RegExp(`^(m:[A-Z,-]+|${conditionForm})(&${conditionForm})*$`);

/** Whether this is what `matchText` writes. */
export const isMatchText = (given: string): given is MatchText => given.length <= longestText && form.test(given);

/** One clause for people: `method GET or HEAD, header x-version "2"`. */
export function describeMatch(given: MatchText): string {
  const words = { h: 'header', c: 'cookie', q: 'query', e: '', p: 'begins with ', r: 'matches ' };
  return given
    .split('&')
    .map((part) => {
      const [kind = '', name = '', value = ''] = part.split(':');
      if (kind === 'm') return `method ${name.replaceAll(',', ' or ')}`;
      const of = words[kind[0] as 'h' | 'c' | 'q'];
      return `${of} ${decodeURIComponent(name)} ${words[kind[1] as 'e' | 'p' | 'r']}${JSON.stringify(decodeURIComponent(value))}`;
    })
    .join(', ');
}
