import { listOf, open, record, type TemplateNames, text } from '../template/names.ts';
import { bareJson } from './bare.ts';

/** A key with a value, in the list of a folder. */
type KeyValue = {
  /** The last part of the key. */
  readonly name: string;
  /** The whole key below the tree's root: `/services/web/1`. */
  readonly key: string;
  readonly value: string;
  /** The value read as JSON; undefined when it is none. */
  readonly json: unknown;
  readonly first: boolean;
  readonly last: boolean;
};

/** A folder, in the list of its parent. */
type KeyFolder = {
  readonly name: string;
  readonly key: string;
  /** Its items, by name. */
  readonly here: KeyNode;
  readonly '*': readonly KeyValue[];
  readonly '*/': readonly KeyFolder[];
  readonly first: boolean;
  readonly last: boolean;
};

/** Marks a node; undefined in it is a folder without a value of its own. */
const ownValue = Symbol('value');

/**
 * A key, a folder or both: what is in it by name, its keys with a value as `*`, its folders as `*\/`. It has no
 * prototype, so that `constructor` is a name like any other.
 */
export type KeyNode = { [ownValue]: string | undefined; [name: string]: unknown };

export const isKeyNode = (found: unknown): found is KeyNode =>
  typeof found === 'object' && found !== null && ownValue in found;

export const valueOfNode = (node: KeyNode): string | undefined => node[ownValue];

/** Makes the tree of keys like `a/b/c`, without a slash first. */
export function keyTree(values: Iterable<readonly [key: string, value: string]>): KeyNode {
  const root: Folder = { children: new Map(), value: undefined };
  for (const [key, value] of values) {
    let at = root;
    for (const part of key.split('/')) {
      let child = at.children.get(part);
      if (child === undefined) {
        child = { children: new Map(), value: undefined };
        at.children.set(part, child);
      }
      at = child;
    }
    at.value = value;
  }
  return toTree(root, '').node;
}

type Folder = { readonly children: Map<string, Folder>; value: string | undefined };
type Tree = {
  readonly node: KeyNode;
  readonly values: readonly KeyValue[];
  readonly folders: readonly KeyFolder[];
};

function toTree({ children, value }: Folder, path: string): Tree {
  const node = emptyNode(value);
  const values: Omit<KeyValue, 'json'>[] = [];
  const folders: KeyFolder[] = [];
  const dotted: (readonly [parts: readonly string[], node: KeyNode])[] = [];
  for (const [name, child] of [...children].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const key = `${path}/${name}`;
    const tree = toTree(child, key);
    if (child.value !== undefined) values.push({ name, key, value: child.value, ...between });
    if (child.children.size > 0) {
      folders.push({ name, key, here: tree.node, '*': tree.values, '*/': tree.folders, ...between });
    }
    if (name.includes('.')) dotted.push([name.split('.'), tree.node]);
    else node[name] = tree.node;
  }
  // A template cannot write a dot within a name: `app.name` is found as `app/name` is, if there is no such key.
  for (const [parts, found] of dotted) {
    const folder = parts.slice(0, -1).reduce((at, part) => {
      const known = at[part];
      if (isKeyNode(known)) return known;
      const made = emptyNode(undefined);
      at[part] = made;
      return made;
    }, node);
    folder[parts.at(-1) ?? ''] ??= found;
  }
  const tree = { node, values: withEnds(values).map(withJson), folders: withEnds(folders) };
  node['*'] = tree.values;
  node['*/'] = tree.folders;
  return tree;
}

const emptyNode = (value: string | undefined): KeyNode => Object.assign(Object.create(null), { [ownValue]: value });

/** Whether an item is the first or the last of its list, for text between two items. */
export type Ends = { readonly first: boolean; readonly last: boolean };

export const between: Ends = { first: false, last: false };

/** Says which is the first and which the last. All others are left as they are: most of a long list is the same again. */
export function withEnds<T extends Ends>(items: readonly T[]): readonly T[] {
  const mark = (item: T | undefined, ends: Partial<Ends>): readonly T[] =>
    item === undefined ? [] : [{ ...item, ...ends }];
  if (items.length === 1) return mark(items[0], { first: true, last: true });
  return [...mark(items[0], { first: true }), ...items.slice(1, -1), ...mark(items.at(-1), { last: true })];
}

/** Read when it is asked for: most values are no JSON, and finding that out is slow. */
const withJson = (item: Omit<KeyValue, 'json'>): KeyValue => ({
  ...item,
  get json() {
    return bareJson(item.value);
  },
});

const ends = { first: text, last: text };
const valueNames = record({ name: text, key: text, value: text, json: open({ required: true }), ...ends });
const folderOwn = record({ name: text, key: text, ...ends });
const folderNames: TemplateNames = {
  ...folderOwn,
  find: (name) => (name === 'here' || name === '*' || name === '*/' ? below(name) : folderOwn.find(name)),
  known: [...folderOwn.known, 'here', '*', '*/'],
  get inside() {
    return folderNames;
  },
};
const below = (name: string): TemplateNames =>
  name === '*' ? listOf(valueNames) : name === '*/' ? listOf(folderNames) : keyNames;

/** The names in a tree of keys: any name, and in the lists the fields of an item. */
export const keyNames: TemplateNames = {
  find: below,
  known: [],
  required: true,
  get inside() {
    return keyNames;
  },
  get itself() {
    return keyNames;
  },
};
