import { Document, isCollection, isMap, isScalar, type Node, Scalar, type YAMLMap } from 'yaml';
import { type DeclaredArea, declaredAreas, isDeclaredArea, levelsOf } from '../model/declared-area.ts';
import { parseRecord } from '../model/json.ts';
import { areaOfKey } from '../model/key.ts';
import { rawBytes } from '../model/raw-text.ts';
import { composeYaml } from '../model/yaml.ts';
import { deepest } from './yaml-nodes.ts';

/** An entry to be written to a file. */
export type FormattedEntry = { readonly key: string; readonly value: string };

/** Names of a mapping, in their order, with values or mappings of their own. */
type Tree = Map<string, string | Tree>;

/** Whether a declaration file can have the entry. */
export function canDeclare({ key }: FormattedEntry): boolean {
  const area = areaOfKey(key);
  if (!isDeclaredArea(area) || /\p{Cs}/u.test(key)) return false;
  return key.split('/').length === (area === 'keys' ? Math.max(key.split('/').length, 2) : levelsOf[area] + 1);
}

/** Writes entries as a YAML document that `parseDeclarations` reads back. The order is that of areas and keys. */
export function formatDeclarations(entries: readonly FormattedEntry[]): string {
  const document = new Document<YAMLMap, false>({}, { customTags: ['binary'] });
  const sorted = entries.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  for (const area of declaredAreas) {
    const tree = treeOf(area, sorted);
    if (tree.size > 0) document.contents.add(document.createPair(area, nodeOf(document, tree, area)));
  }
  if (document.contents.items.length === 0) return '';
  // Texts with such characters are in double quotes, where the package leaves them as they are.
  return document.toString({ lineWidth: 0, flowCollectionPadding: false }).replace(unseen, escaped);
}

function treeOf(area: DeclaredArea, entries: readonly FormattedEntry[]): Tree {
  const tree: Tree = new Map();
  for (const { key, value } of entries) {
    if (areaOfKey(key) !== area) continue;
    const names = key.split('/').slice(1);
    let folder = tree;
    let at = 0;
    for (; at < names.length - 1; at += 1) {
      const name = names[at] ?? '';
      const below = folder.get(name) ?? new Map();
      // Where a key is a folder too, the name of the other key has the slash.
      if (typeof below === 'string') break;
      folder.set(name, below);
      folder = below;
    }
    folder.set(names.slice(at).join('/'), value);
  }
  return tree;
}

function nodeOf(document: Document<YAMLMap, false>, tree: Tree, area: DeclaredArea): YAMLMap {
  const map = document.createNode({}) as YAMLMap;
  for (const [name, value] of tree) {
    const below =
      typeof value !== 'string' ? nodeOf(document, value, area) : area === 'keys' ? textNode(value) : valueNode(value);
    map.items.push(document.createPair(nameNode(name), below));
  }
  return map;
}

/** JSON as a mapping; other text as it is. */
function valueNode(value: string): Node {
  if (!value.trimStart().startsWith('{') || !parseRecord(value).ok) return textNode(value);
  const { documents } = composeYaml(value, deepest, { schema: 'core', uniqueKeys: false });
  const root = documents[0]?.contents;
  if (!isMap(root) || documents[0]?.errors.length !== 0) return textNode(value);
  inBlocks(root);
  return root;
}

/** Lays out mappings in lines of their own; lists of words and empty mappings stay on one. */
function inBlocks(node: unknown): void {
  if (isScalar(node)) {
    if (typeof node.value === 'string') Object.assign(node, { type: typeOf(node.value) });
    return;
  }
  if (!isCollection(node)) return;
  node.flow = node.items.length === 0 || (!isMap(node) && node.items.every((item) => isScalar(item)));
  for (const item of node.items) {
    if (!isMap(node)) inBlocks(item);
    else if (typeof item === 'object' && item !== null && 'key' in item && 'value' in item) {
      if (isScalar(item.key)) Object.assign(item.key, { type: typeOfName(String(item.key.value)) });
      inBlocks(item.value);
    }
  }
}

function textNode(text: string): Node {
  const isText = !/\p{Cs}/u.test(text);
  const scalar = new Scalar<unknown>(isText ? text : rawBytes(text));
  if (isText) Object.assign(scalar, { type: typeOf(text) });
  else scalar.tag = 'tag:yaml.org,2002:binary';
  return scalar;
}

function nameNode(name: string): Scalar {
  const scalar = new Scalar(name);
  scalar.type = typeOfName(name);
  return scalar;
}

/** YAML 1.1, which other programs read, takes these words for something else. */
const words = /^(?:y|n|yes|no|on|off|true|false|null|~)$/i;
/** Characters that nobody sees, or that steer a terminal. */
const unseen = /[\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
/** Characters that some reader changes, or that nobody sees. */
const unusual =
  /[^\n\x20-\x7e\u00a1-\u00ac\u00ae-\u167f\u1681-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\u2fff\u3001-\ufefe\uff00-\uffef]/;

/** Plain where that is safe, which the package decides; lines of their own where a reader keeps each of them. */
function typeOf(text: string): Scalar.Type {
  if (unusual.test(text) || words.test(text)) return Scalar.QUOTE_DOUBLE;
  if (!text.includes('\n')) return Scalar.PLAIN;
  return /^\S/.test(text) && !/ \n|\s\s$| $/.test(text) ? Scalar.BLOCK_LITERAL : Scalar.QUOTE_DOUBLE;
}

const typeOfName = (name: string): Scalar.Type =>
  name === '' || name === '<<' || name.includes('\n') || unusual.test(name) || words.test(name)
    ? Scalar.QUOTE_DOUBLE
    : Scalar.PLAIN;
