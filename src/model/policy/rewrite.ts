import * as v from 'valibot';
import { accepted, type Parsed, quote, rejected } from '../parsed.ts';
import { mergeSlashes, type PathPrefix, parsePathPrefix } from '../route.ts';
import { parseBoundedRegex } from './bounded-regex.ts';
import { parsedText, parsing } from './field.ts';

/** A change of a path: the whole path, if `regex` matches it, becomes `to`, where `$1` to `$9` are the groups. */
export type PathChange = {
  readonly regex: string;
  readonly to: string;
  /** Whether the policy has the expression itself, so that HAProxy tries it only with paths of a bounded length. */
  readonly isBounded: boolean;
};

const mostChanges = 16;

// The characters of a path (RFC 3986) with escapes, without those that mean something to a configuration.
const target = /^\/(?:[A-Za-z0-9._~/@:+,=!*();-]|%[0-9A-F]{2}|\$[1-9])*$/;

function parseTarget(text: string): Parsed<string> {
  if (text.length > 255 || !target.test(text)) {
    return rejected(
      `${quote(text)} is not a path: "/" and then at most 254 of A-Z a-z 0-9 . _ ~ / @ : + , = ! * ( ) ; -, %XX, and $1 to $9`,
    );
  }
  return text.split('/').some((segment) => segment === '.' || segment === '..')
    ? rejected(`${quote(text)} is not a path: clients resolve "." and ".." before they send a request`)
    : accepted(text);
}

export const pathChangeFields = {
  from: v.optional(parsedText(parsePathPrefix)),
  regex: v.optional(
    parsedText((text) => {
      const parsed = parseBoundedRegex(text);
      return parsed.ok ? accepted(text) : parsed;
    }),
  ),
  to: v.optional(parsedText(parseTarget)),
};

type Given = {
  readonly from?: PathPrefix | undefined;
  readonly regex?: string | undefined;
  readonly to?: string | undefined;
};

/** Reads `{"from": "/old", "to": "/new"}`, `{"regex": "^/u/([0-9]+)$", "to": "/users/$1"}` or `{"to": "/new"}`. */
export function readPathChange({ from, regex, to }: Given): Parsed<PathChange> {
  if (to === undefined) return rejected('to: it is missing, and "from" and "regex" need it');
  if (from !== undefined && regex !== undefined) return rejected('regex: it cannot be next to "from"');
  if (regex !== undefined) {
    const parsed = parseBoundedRegex(regex);
    if (!parsed.ok) return parsed;
    const last = Math.max(0, ...[...to.matchAll(/\$([1-9])/g)].map(([, digit]) => Number(digit)));
    if (last > parsed.value.groups) return rejected(`to: the regular expression has no group for $${last}`);
    return accepted({ regex, to, isBounded: true });
  }
  if (to.includes('$')) return rejected('to: only a regular expression has groups such as $1');
  return accepted(from === undefined ? { regex: '^', to, isBounded: false } : prefixChange(mergeSlashes(from), to));
}

/** Replaces a prefix at the border of a segment, and keeps the rest. */
function prefixChange(from: string, to: string): PathChange {
  const [old, fresh] = [from, to].map((path) => path.replace(/\/$/, '')) as [string, string];
  const literal = old.replace(/[.+]/g, (char) => `\\${char}`);
  return fresh === ''
    ? { regex: `^${literal}(?:/(.*))?$`, to: '/$1', isBounded: false }
    : { regex: `^${literal}(/.*)?$`, to: `${fresh}$1`, isBounded: false };
}

const rewrite = parsing<Given, PathChange>(
  v.strictObject(pathChangeFields) as v.GenericSchema<Given, Given>,
  (given) =>
    given.from === undefined && given.regex === undefined
      ? rejected('it needs "from" or "regex"')
      : readPathChange(given),
);

const list = v.pipe(v.array(rewrite), v.minLength(1), v.maxLength(mostChanges));
const single = v.pipe(
  rewrite,
  v.transform((change): PathChange[] => [change]),
);

/** One rewrite, or a list of them. Chosen by its type, so that a message names what is wrong. */
export const rewriteField = v.lazy((given): typeof list | typeof single => (Array.isArray(given) ? list : single));
