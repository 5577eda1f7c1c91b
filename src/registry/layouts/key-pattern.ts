import { accepted, type Parsed, quote, refused } from '../../model/parsed.ts';

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
      return refused(`${quote(pattern)}: put something between ${quote(piece)} and what is before it`);
    before = open ? 'open' : 'literal';
    if (piece === '{service}' || piece === '{id}') {
      const name = piece === '{id}' ? 'id' : 'service';
      if (has.has(name)) return refused(`${quote(pattern)}: ${piece} stands there twice`);
      has.add(name);
      source += `(?<${name}>[^/]+)`;
    } else if (piece === '**') source += '.*';
    else if (piece === '*') source += '[^/]+';
    else if (/[{}]/.test(piece)) return refused(`${quote(pattern)}: ${quote(piece)} is neither {service} nor {id}`);
    else source += piece.replace(/[\\^$.|?+()[\]]/g, '\\$&');
  }
  if (source === '') return refused('a key pattern is empty');
  const regex = new RegExp(`^${source}$`, ignoreCase ? 'is' : 's');
  return accepted({
    has,
    match(key) {
      const groups = regex.exec(key);
      return groups === null ? undefined : { service: groups.groups?.['service'], id: groups.groups?.['id'] };
    },
  });
}
