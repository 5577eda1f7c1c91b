import * as v from 'valibot';
import { formatInstance, parseInstance } from '../../model/instance.ts';
import { parseInstanceId, parseServiceName } from '../../model/name.ts';
import { accepted, type Parsed, refused } from '../../model/parsed.ts';
import { decode } from './codec.ts';
import { compileKeyPattern, type KeyPattern } from './key-pattern.ts';

const pattern = v.pipe(v.string(), v.minLength(1), v.maxLength(512));
const path = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(128)));

const schema = v.strictObject({
  /** Where the foreign tree begins: `/skydns/local/cluster/`. Keys below are relative to it. */
  prefix: v.pipe(v.string(), v.minLength(1), v.maxLength(512)),
  /** Which keys are instances; the first that matches counts. */
  keyPattern: v.union([pattern, v.pipe(v.array(pattern), v.minLength(1), v.maxLength(16))]),
  codec: v.picklist(['hostport', 'url', 'json']),
  /** For codec json: where our fields stand in the value. */
  fields: v.optional(v.strictObject({ address: path, port: path, weight: path, version: path, zone: path }), {}),
  /** Keys that are something else, and nobody's mistake; asked before the keyPattern. */
  ignore: v.optional(v.pipe(v.array(pattern), v.maxLength(64)), []),
  /** The service of all instances, for patterns that have no `{service}`. */
  service: v.optional(v.string()),
});

/** How a tree that was not made for pointsman names its instances. */
export type LayoutDeclaration = v.InferInput<typeof schema>;

/** What a foreign entry is in our own layout. */
type Mapped =
  /** An entry `instances/<service>/<id>` whose value `parseInstance` reads. */
  | { readonly kind: 'instance'; readonly key: string; readonly value: string }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'rejected'; readonly reason: string };

export type Layout = {
  readonly prefix: string;
  /** The key of ours that a foreign key (relative to the prefix) stands for, whatever its value. */
  readonly mapKey: (key: string) => Parsed<string | undefined>;
  readonly map: (key: string, value: string) => Mapped;
};

/** Checks a declaration and compiles it. */
export function compileLayout(declaration: unknown): Parsed<Layout> {
  const result = v.safeParse(schema, declaration, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    return refused(`${v.getDotPath(issue) ?? 'layout'}: ${issue.message}`);
  }
  const { prefix, keyPattern, codec, fields, ignore, service } = result.output;
  if (codec === 'json' && fields.address === undefined)
    return refused('fields.address: codec json needs to know where the address is');
  if (codec !== 'json' && Object.keys(fields).length > 0)
    return refused(`fields: only codec json has fields, not ${codec}`);
  const patterns = compileAll('keyPattern', typeof keyPattern === 'string' ? [keyPattern] : keyPattern);
  if (!patterns.ok) return patterns;
  const ignored = compileAll('ignore', ignore);
  if (!ignored.ok) return ignored;
  if (ignored.value.some(({ has }) => has.size > 0))
    return refused('ignore: a pattern of what is ignored names nothing');
  for (const { has } of patterns.value) {
    if (!has.has('service') && service === undefined)
      return refused('keyPattern: without {service}, say which "service" it is');
    if (has.has('service') && service !== undefined) return refused('service: the keyPattern has {service} already');
  }

  const find = (key: string): Parsed<KeyInstance | undefined> => {
    if (ignored.value.some(({ match }) => match(key) !== undefined)) return accepted(undefined);
    for (const { match } of patterns.value) {
      const found = match(key);
      if (found === undefined) continue;
      const name = parseServiceName(found.service ?? service ?? '');
      if (!name.ok) return name;
      // A key with no place for an id is the only instance of its service.
      const id = parseInstanceId(found.id ?? name.value);
      return id.ok ? accepted({ service: name.value, id: id.value, key: `instances/${name.value}/${id.value}` }) : id;
    }
    return refused('it matches no keyPattern, and is not to be ignored');
  };
  return accepted({
    prefix,
    mapKey(key) {
      const found = find(key);
      return found.ok ? accepted(found.value?.key) : found;
    },
    map(key, value) {
      const found = find(key);
      if (!found.ok) return { kind: 'rejected', reason: found.reason };
      if (found.value === undefined) return { kind: 'ignored' };
      const raw = decode(codec, fields, value);
      if (!raw.ok) return { kind: 'rejected', reason: raw.reason };
      const instance = parseInstance(found.value.service, found.value.id, JSON.stringify(raw.value));
      if (!instance.ok) return { kind: 'rejected', reason: instance.reason };
      return { kind: 'instance', key: found.value.key, value: formatInstance(instance.value) };
    },
  });
}

type KeyInstance = {
  readonly service: Parameters<typeof parseInstance>[0];
  readonly id: Parameters<typeof parseInstance>[1];
  readonly key: string;
};

function compileAll(where: string, texts: readonly string[]): Parsed<readonly KeyPattern[]> {
  const compiled: KeyPattern[] = [];
  for (const text of texts) {
    const parsed = compileKeyPattern(text);
    if (!parsed.ok) return refused(`${where}: ${parsed.reason}`);
    compiled.push(parsed.value);
  }
  return accepted(compiled);
}
