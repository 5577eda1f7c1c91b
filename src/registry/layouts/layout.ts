import * as v from 'valibot';
import { formatInstance, parseInstance } from '../../model/instance.ts';
import { instanceKey } from '../../model/key.ts';
import { parseInstanceId, parseServiceName } from '../../model/name.ts';
import { accepted, type Parsed, quote, rejected } from '../../model/parsed.ts';
import { parseWhole } from '../../model/quantity.ts';
import { compileKeyPattern, decodeInstance, type KeyPattern, lacks } from './codec.ts';

const pattern = v.pipe(v.string(), v.minLength(1), v.maxLength(512));
const path = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(128)));

// Far more than anybody writes, and small enough to be scaled exactly.
const mostWeight = 1_000_000;

const schema = v.strictObject({
  /** Where the foreign tree begins: `/skydns/local/cluster/`. Keys below are relative to it. */
  prefix: v.pipe(v.string(), v.minLength(1), v.maxLength(512)),
  /** Which keys are instances; the first that matches counts. */
  keyPattern: v.union([pattern, v.pipe(v.array(pattern), v.minLength(1), v.maxLength(16))]),
  codec: v.picklist(['hostport', 'url', 'json']),
  /** For codec json: the place of our fields in the value. */
  fields: v.optional(v.strictObject({ address: path, port: path, weight: path, version: path, zone: path }), {}),
  /** For codec json: a value without this field is no instance, and no mistake. */
  requires: path,
  /**
   * For weights that have no bound of 256 and are relative to the others of their service. An instance without a weight has
   * `unset`, and so has an instance with 0 where a program cannot distinguish 0 from none.
   */
  relativeWeights: v.optional(
    v.strictObject({
      unset: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(mostWeight)),
      zeroIsUnset: v.optional(v.boolean(), false),
    }),
  ),
  /** Keys whose value is the weight of an instance; they take `relativeWeights`. */
  weights: v.optional(v.array(pattern), []),
  /** Whether keys are the same in upper and lower case, apart from names of services and instances. */
  ignoreCase: v.optional(v.boolean(), false),
  /** Patterns of keys that are something else, and no mistake; matched before the keyPattern. */
  ignore: v.optional(v.pipe(v.array(pattern), v.maxLength(64)), []),
  /** The service of all instances, for patterns that have no `{service}`. */
  service: v.optional(v.string()),
});

/** How a tree that was not made for pointsman names its instances. */
export type LayoutDeclaration = v.InferInput<typeof schema>;

/** A foreign entry in our own layout. */
type Mapped =
  /** An entry `instances/<service>/<id>` whose value `parseInstance` reads. */
  | { readonly kind: 'instance'; readonly key: string; readonly value: string; readonly weight: number | undefined }
  /** The relative weight of the instance at `key`. */
  | { readonly kind: 'weight'; readonly key: string; readonly weight: number }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'rejected'; readonly reason: string };

export type Layout = {
  readonly prefix: string;
  /** The weight of an instance without one, where weights are relative. */
  readonly unsetWeight: number | undefined;
  /** The instance that a foreign key (relative to the prefix) is about, whatever its value. */
  readonly mapKey: (key: string) => Parsed<{ readonly kind: 'instance' | 'weight'; readonly key: string } | undefined>;
  readonly map: (key: string, value: string) => Mapped;
};

/** Checks a declaration and compiles it. */
export function compileLayout(declaration: unknown): Parsed<Layout> {
  const result = v.safeParse(schema, declaration, { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    return rejected(`${v.getDotPath(issue) ?? 'layout'}: ${issue.message}`);
  }
  const { prefix, keyPattern, codec, fields, ignore, service, requires, relativeWeights, weights, ignoreCase } =
    result.output;
  if (codec === 'json' && fields.address === undefined)
    return rejected('fields.address: it is missing, and codec json needs the field of the address');
  if (codec !== 'json' && Object.keys(fields).length > 0)
    return rejected(`fields: only codec json has fields, not ${codec}`);
  if (codec !== 'json' && requires !== undefined) return rejected(`requires: only codec json has fields, not ${codec}`);
  if (weights.length > 0 && relativeWeights === undefined)
    return rejected('relativeWeights: give the weight of an instance without one, as in { unset: 1 }');
  const patterns = compileAll('keyPattern', typeof keyPattern === 'string' ? [keyPattern] : keyPattern, ignoreCase);
  if (!patterns.ok) return patterns;
  const weighing = compileAll('weights', weights, ignoreCase);
  if (!weighing.ok) return weighing;
  const ignored = compileAll('ignore', ignore, ignoreCase);
  if (!ignored.ok) return ignored;
  if (ignored.value.some(({ has }) => has.size > 0)) return rejected('ignore: a pattern cannot have {service} or {id}');
  for (const { has } of [...patterns.value, ...weighing.value]) {
    if (!has.has('service') && service === undefined)
      return rejected('keyPattern: it has no {service}, so set the field "service"');
    if (has.has('service') && service !== undefined) return rejected('service: the keyPattern has {service} already');
  }

  const kinds = [
    ...weighing.value.map(({ match }) => ({ kind: 'weight', match }) as const),
    ...patterns.value.map(({ match }) => ({ kind: 'instance', match }) as const),
  ];
  const find = (key: string): Parsed<KeyInstance | undefined> => {
    if (ignored.value.some(({ match }) => match(key) !== undefined)) return accepted(undefined);
    for (const { kind, match } of kinds) {
      const found = match(key);
      if (found === undefined) continue;
      const name = parseServiceName(found.service ?? service ?? '');
      if (!name.ok) return name;
      // A key with no place for an id is the only instance of its service.
      const id = parseInstanceId(found.id ?? name.value);
      if (!id.ok) return id;
      return accepted({ kind, service: name.value, id: id.value, key: instanceKey(name.value, id.value) });
    }
    return rejected('it matches neither a keyPattern nor an ignore pattern');
  };
  return accepted({
    prefix,
    unsetWeight: relativeWeights?.unset,
    mapKey: find,
    map(key, value) {
      const found = find(key);
      if (!found.ok) return { kind: 'rejected', reason: found.reason };
      if (found.value === undefined) return { kind: 'ignored' };
      if (found.value.kind === 'weight') {
        const weight = readWeight(value.trim());
        if (!weight.ok) return { kind: 'rejected', reason: weight.reason };
        return { kind: 'weight', key: found.value.key, weight: weight.value };
      }
      if (requires !== undefined && lacks(value, requires)) return { kind: 'ignored' };
      const raw = decodeInstance(codec, fields, value);
      if (!raw.ok) return { kind: 'rejected', reason: raw.reason };
      const { weight: given, ...rest } = raw.value;
      const relative = relativeWeights === undefined || given === undefined ? accepted(undefined) : readWeight(given);
      if (!relative.ok) return { kind: 'rejected', reason: relative.reason };
      const weight = relative.value === 0 && relativeWeights?.zeroIsUnset ? undefined : relative.value;
      const own = JSON.stringify(relativeWeights === undefined ? raw.value : rest);
      const instance = parseInstance(found.value.service, found.value.id, own);
      if (!instance.ok) return { kind: 'rejected', reason: instance.reason };
      return { kind: 'instance', key: found.value.key, value: formatInstance(instance.value), weight };
    },
  });
}

function readWeight(given: unknown): Parsed<number> {
  const isText = typeof given === 'string' || typeof given === 'number';
  const weight = isText ? parseWhole(given, { least: 0, most: mostWeight }) : undefined;
  return weight?.ok ? weight : rejected(`weight ${quote(String(given))} is not a whole number from 0 to ${mostWeight}`);
}

type KeyInstance = {
  readonly kind: 'instance' | 'weight';
  readonly service: Parameters<typeof parseInstance>[0];
  readonly id: Parameters<typeof parseInstance>[1];
  readonly key: string;
};

function compileAll(where: string, texts: readonly string[], ignoreCase: boolean): Parsed<readonly KeyPattern[]> {
  const compiled: KeyPattern[] = [];
  for (const text of texts) {
    const parsed = compileKeyPattern(text, ignoreCase);
    if (!parsed.ok) return rejected(`${where}: ${parsed.reason}`);
    compiled.push(parsed.value);
  }
  return accepted(compiled);
}
