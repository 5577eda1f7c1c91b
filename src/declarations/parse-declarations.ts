import { type Document, isMap, isScalar, isSeq, type Node, type YAMLError, type YAMLMap } from 'yaml';
import { declaredAreas, isDeclaredArea, levelsOf } from '../model/declared-area.ts';
import { jsonFlawAt } from '../model/json.ts';
import { didYouMean } from '../model/nearest.ts';
import { quote, showKey } from '../model/parsed.ts';
import { policyFieldNames } from '../model/policy.ts';
import { beginning, type Problem, placeOfIndex, problemAt } from '../model/problem.ts';
import { composeYaml } from '../model/yaml.ts';
import type { Declarations, Declared, Place } from './declared.ts';
import { jsonOf, textOfScalar } from './node-text.ts';
import { deepest, type Report, TooManyAliases, YamlNodes } from './yaml-nodes.ts';

/** A file of declarations, and what was found in it. */
type Source = {
  readonly file: string;
  readonly text: string;
  readonly placeOf: (node: unknown) => Place;
  readonly problems: Problem[];
  readonly declared: Declared[];
};

/** Reads the declarations of one file: YAML or JSON, with one document or many. */
export function parseDeclarations(file: string, text: string): Declarations {
  const flaw = file.endsWith('.json') ? flawOfJson(file, text) : undefined;
  if (flaw !== undefined) return { declared: [], problems: [flaw] };
  const { documents, lines, tooDeepAt } = composeYaml(text, deepest, { schema: 'core', uniqueKeys: false });
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  if (tooDeepAt !== undefined) {
    const problem = problemAt(file, at(tooDeepAt), `it is nested more than ${deepest} deep`);
    return { declared: [], problems: [problem] };
  }
  const placeOf = (node: unknown): Place => at((node as Node | null)?.range?.[0] ?? 0);
  const source: Source = { file, text, placeOf, problems: [], declared: [] };
  for (const document of documents) {
    // The parser reports more errors that follow from the first.
    const [error] = [...document.errors, ...document.warnings.filter(({ code }) => code === 'TAG_RESOLVE_FAILED')];
    if (error === undefined) readDocument(source, document);
    else source.problems.push(problemAt(file, at(error.pos[0]), ...describeYamlError(error)));
  }
  return source;
}

/** The problem, and a hint. */
function describeYamlError({ code, message }: YAMLError): [string, string?] {
  const tag = code === 'TAG_RESOLVE_FAILED' ? /^Unresolved tag: (\S+)/.exec(message)?.[1] : undefined;
  if (tag === undefined) return [`it is not YAML that pointsman reads: ${message.replace(/\s+/g, ' ')}`];
  return [
    `the tag ${tag} has no meaning for pointsman`,
    'remove it, or quote the value if the tag belongs to the text',
  ];
}

function flawOfJson(file: string, text: string): Problem | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    if (text.trim() === '') return problemAt(file, beginning, 'it is not JSON: it is empty');
    const index = jsonFlawAt(text, error);
    const char = String.fromCodePoint(text.codePointAt(index) ?? 0);
    const why = index >= text.trimEnd().length ? 'its end is missing' : `${quote(char)} is not expected here`;
    return problemAt(file, placeOfIndex(text, index), `it is not JSON: ${why}`);
  }
}

function readDocument(source: Source, document: Document.Parsed): void {
  const { file, text, placeOf, problems } = source;
  const report: Report = (node, what, { hint, first } = {}) => {
    problems.push(problemAt(file, placeOf(node), what, first === undefined ? hint : firstAt(placeOf(first))));
  };
  try {
    const nodes = new YamlNodes(document, text, report);
    const root = document.contents;
    if (root === null || (isScalar(root) && root.value === null)) return;
    if (isMap(root)) new TreeReader(source, nodes, report).readAreas(root);
    else report(root, 'it is not a mapping', { hint: `declare entries under ${areaList}` });
  } catch (error) {
    if (!(error instanceof TooManyAliases)) throw error;
    report(error.node, error.message);
  }
}

export const firstAt = ({ file, line, column }: Place): string => `first at ${file}:${line}:${column}`;

const areaList = `${declaredAreas.slice(0, -1).join(', ')} or ${declaredAreas.at(-1)}`;
const ownAreas = ['balancers', 'releases', 'waits', 'labels', 'sets'];

/** Reads the tree of keys in one document. */
class TreeReader {
  readonly #source: Source;
  readonly #nodes: YamlNodes;
  readonly #report: Report;

  constructor(source: Source, nodes: YamlNodes, report: Report) {
    this.#source = source;
    this.#nodes = nodes;
    this.#report = report;
  }

  readAreas(root: YAMLMap): void {
    const named = this.#nodes.named(root).filter(({ name }) => name !== '$schema' && !name.startsWith('x-'));
    const [first] = named;
    if (first !== undefined && named.every(({ name }) => !isDeclaredArea(name) && policyFieldNames.includes(name))) {
      const hint = 'declare it under services:, below the name of its service';
      this.#report(first.nameNode, 'this is a policy, and it has no service', { hint });
      return;
    }
    for (const { name, nameNode, node } of named) {
      if (!isDeclaredArea(name)) this.#report(nameNode, `${quote(name)} is not an area`, { hint: hintFor(name) });
      else if (name === 'keys') this.#readKeys(name, nameNode, node, 0);
      else this.#readLevel(name, nameNode, node, levelsOf[name]);
    }
  }

  /** Reads the names below an area, or below a service in it. An empty one declares nothing. */
  #readLevel(prefix: string, nameNode: unknown, given: unknown, levels: number): void {
    const node = this.#nodes.resolve(given);
    if (node === undefined || isNothing(node)) return;
    if (!isMap(node)) {
      const what = prefix.includes('/') ? 'instances' : 'services';
      this.#report(nameNode, `${showKey(prefix)} is not a mapping of the names of ${what}`);
      return;
    }
    for (const one of this.#nodes.named(node)) {
      const key = `${prefix}/${one.name}`;
      if (levels > 1) this.#readLevel(key, one.nameNode, one.node, levels - 1);
      else this.#readEntry(key, one.nameNode, one.node);
    }
  }

  #readEntry(key: string, nameNode: unknown, given: unknown): void {
    const node = this.#nodes.resolve(given);
    if (node === undefined) return;
    if (isNothing(node))
      this.#report(nameNode, `${showKey(key)} has no value`, { hint: 'write {} for one without fields' });
    else if (isMap(node)) this.#declare(key, nameNode, node, jsonOf(this.#nodes, this.#report, node));
    else if (isScalar(node)) this.#declare(key, nameNode, node, textOfScalar(node, this.#report));
    else this.#report(nameNode, `${showKey(key)} is a list, and not a mapping of fields`);
  }

  #readKeys(prefix: string, nameNode: unknown, given: unknown, depth: number): void {
    const node = this.#nodes.resolve(given);
    if (node === undefined) return;
    if (isMap(node) && depth <= deepest) {
      for (const one of this.#nodes.named(node))
        this.#readKeys(`${prefix}/${one.name}`, one.nameNode, one.node, depth + 1);
    } else if (isSeq(node)) {
      this.#report(nameNode, `${showKey(prefix)} is a list, and values under keys are texts`, {
        hint: "to store JSON, quote it: '[1, 2]'",
      });
    } else if (depth === 0) {
      if (!isNothing(node)) this.#report(nameNode, 'keys is not a mapping of names');
    } else if (isScalar(node)) this.#declare(prefix, nameNode, node, textOfScalar(node, this.#report));
    else this.#report(nameNode, `${showKey(prefix)} has no value`, { hint: 'write "" for an empty text' });
  }

  #declare(key: string, nameNode: unknown, node: Node, value: string | undefined): void {
    if (value === undefined) return;
    const { placeOf, declared } = this.#source;
    declared.push({
      key,
      value,
      place: placeOf(nameNode),
      placeOf: (path) => placeOf([nameNode, ...this.#nodes.along(node, path)].at(-1)),
      flawAt: () => placeOf(node),
    });
  }
}

const isNothing = (node: unknown): boolean => node === null || (isScalar(node) && node.value === null);

function hintFor(name: string): string {
  if (ownAreas.includes(name)) return 'pointsman itself writes this area';
  const [area = '', below] = name.split('/');
  if (below !== undefined && isDeclaredArea(area)) return `write ${area}: and below it ${below}:`;
  return didYouMean(name, declaredAreas) ?? `the areas are ${declaredAreas.join(', ')}`;
}
