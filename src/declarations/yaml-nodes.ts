import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  Scalar,
  visit,
  type YAMLMap,
} from 'yaml';
import { quote } from '../model/parsed.ts';

/** A name of a mapping, and the node that it names. */
export type NamedNode = { readonly name: string; readonly nameNode: unknown; readonly node: unknown };

/** Takes what is wrong with a node. `first`: the node that has the same name. */
export type Report = (
  node: unknown,
  what: string,
  detail?: { readonly hint?: string; readonly first?: unknown },
) => void;

/** Levels of mappings and lists. Values of the registry have 16 at most, and folders of keys a few. */
export const deepest = 64;

/** How many nodes aliases may stand for, with all that is in them: a few lines of aliases can mean 10^9 nodes. */
const mostAliased = 100_000;

/** The aliases of a document stand for more than any file could hold, so it is not read further. */
export class TooManyAliases extends Error {
  readonly node: unknown;

  constructor(node: unknown) {
    super(`aliases stand for more than ${mostAliased} values`);
    this.node = node;
  }
}

/** The nodes of one document, with aliases and merge keys resolved. Methods throw TooManyAliases. */
export class YamlNodes {
  readonly #anchored = new Map<Alias, Node>();
  readonly #report: Report;
  #aliased = 0;

  /** `text`: the text of the document, or of more. */
  constructor(document: Document.Parsed, text: string, report: Report) {
    this.#report = report;
    // Most files have no anchor, and then no node has to be visited.
    if (!text.includes('&')) return;
    // An alias means the nearest anchor of its name above it.
    const anchors = new Map<string, Node>();
    visit(document, {
      Alias: (_, alias) => {
        const node = anchors.get(alias.source);
        if (node !== undefined) this.#anchored.set(alias, node);
      },
      Value: (_, node) => {
        if (node.anchor !== undefined) anchors.set(node.anchor, node);
      },
    });
  }

  /** The node that an alias stands for, or the node itself. Undefined: this was reported. */
  resolve(node: unknown): unknown {
    if (!isAlias(node)) return node;
    const found = this.#anchored.get(node);
    if (found === undefined) {
      this.#report(node, `no anchor &${node.source} is above this alias`);
      return undefined;
    }
    this.#aliased += sizeOf(found, mostAliased);
    if (this.#aliased > mostAliased) throw new TooManyAliases(node);
    return found;
  }

  /** The named nodes of a mapping, without those that were reported. */
  named(map: YAMLMap): readonly NamedNode[] {
    return [...this.#named(map, 0).values()];
  }

  /** The nodes on a path below a node, as far as there are any. Reports nothing. */
  *along(node: unknown, path: readonly string[]): Generator<unknown> {
    let inner = this.#quietly(node);
    for (const step of path) {
      const pair = isMap(inner) ? this.#pairOf(inner, step) : undefined;
      const next = isSeq(inner) ? inner.items[Number(step)] : pair?.value;
      if (next === undefined) return;
      yield pair?.key ?? next;
      inner = this.#quietly(next);
    }
  }

  #quietly(node: unknown): unknown {
    return isAlias(node) ? this.#anchored.get(node) : node;
  }

  #pairOf(map: YAMLMap, name: string, depth = 0): Pair | undefined {
    const own = map.items.find(({ key }) => {
      const scalar = this.#quietly(key);
      return isScalar(scalar) && sourceOf(scalar) === name;
    });
    if (own !== undefined || depth > deepest) return own;
    for (const { key, value } of map.items) {
      if (!isMergeKey(key)) continue;
      const merged = this.#quietly(value);
      for (const one of isSeq(merged) ? merged.items : [merged]) {
        const target = this.#quietly(one);
        const found = isMap(target) ? this.#pairOf(target, name, depth + 1) : undefined;
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  #named(map: YAMLMap, depth: number): ReadonlyMap<string, NamedNode> {
    const found = new Map<string, NamedNode>();
    const merged = new Map<string, NamedNode>();
    for (const { key: nameNode, value: node } of map.items) {
      if (isMergeKey(nameNode)) {
        for (const one of this.#mapsOf(node, depth)) {
          for (const [name, pair] of this.#named(one, depth + 1)) if (!merged.has(name)) merged.set(name, pair);
        }
        continue;
      }
      const name = this.#nameOf(nameNode ?? map);
      if (name === undefined) continue;
      const first = found.get(name);
      if (first === undefined) found.set(name, { name, nameNode, node });
      else this.#report(nameNode, `${quote(name)} is given twice`, { first: first.nameNode });
    }
    for (const [name, pair] of merged) if (!found.has(name)) found.set(name, pair);
    return found;
  }

  /** The mappings that a merge key names. */
  #mapsOf(node: unknown, depth: number): readonly YAMLMap[] {
    const value = this.resolve(node);
    const all = isSeq(value) ? value.items.map((item) => this.resolve(item)) : [value];
    const maps = all.filter((one) => isMap(one));
    if (maps.length < all.length) this.#report(node, 'a merge key (<<) takes a mapping, or a list of mappings');
    if (depth < deepest) return maps;
    this.#report(node, `merge keys are nested more than ${deepest} deep`);
    return [];
  }

  #nameOf(node: unknown): string | undefined {
    const scalar = this.resolve(node);
    const name = isScalar(scalar) ? sourceOf(scalar) : undefined;
    if (name === undefined) this.#report(node, 'a name has to be a word');
    if (name !== '' || !isScalar(scalar) || scalar.type !== Scalar.PLAIN) return name;
    this.#report(node, 'a name is missing before ":"', { hint: 'write "" for an empty name' });
    return undefined;
  }
}

/** The text of a word, so that 1.10 stays 1.10. Undefined: it has a tag that makes something else of it. */
export function sourceOf({ value, source, type }: Scalar): string | undefined {
  if (typeof value === 'string') return value;
  return type === Scalar.PLAIN ? source : undefined;
}

const isMergeKey = (node: unknown): boolean => isScalar(node) && node.type === Scalar.PLAIN && node.source === '<<';

/** How many nodes are in a node; counts no more than `most`. */
function sizeOf(node: unknown, most: number): number {
  let size = 0;
  const open: unknown[] = [node];
  while (open.length > 0 && size <= most) {
    const one = open.pop();
    size += 1;
    if (isMap(one)) for (const { key, value } of one.items) open.push(key, value);
    else if (isSeq(one)) for (const item of one.items) open.push(item);
  }
  return size;
}
