import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, Scalar } from 'yaml';
import { didYouMean } from '../model/nearest.ts';
import { quote } from '../model/parsed.ts';
import { type Problem, problemAt } from '../model/problem.ts';
import { type DeclaredArea, declaredAreas, isDeclaredArea, levelsOf } from './areas.ts';
import type { Declarations, Declared, Place } from './declared.ts';

/** Reads the declarations of one file: YAML or JSON, one document or many. */
export function parseDeclarations(file: string, text: string): Declarations {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const problems: Problem[] = [];
  const declared: Declared[] = [];
  if (!Array.isArray(documents)) return { declared, problems };
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  const place = (node: unknown): Place => at((node as Node | null)?.range?.[0] ?? 0);
  const wrong = (node: unknown, what: string, hint?: string) => {
    problems.push(problemAt(file, place(node), what, hint));
  };
  for (const document of documents) {
    for (const { message, pos } of document.errors) {
      problems.push(problemAt(file, at(pos[0]), `it is not YAML: ${message.replace(/\s+/g, ' ')}`));
    }
    if (document.errors.length > 0) continue;
    const root = document.contents;
    if (root === null || (isScalar(root) && root.value === null)) continue;
    const resolved = (node: unknown) => (isAlias(node) ? node.resolve(document) : node);
    const entry = (key: string, name: unknown, node: unknown) => {
      const value = textOf(key, resolved(node), () => document.toJS());
      if (value === undefined) {
        wrong(name, `${key} has no value that can be written`, 'quote it');
        return;
      }
      const placeOf = (path: readonly string[]): Place => {
        let [found, inner]: [unknown, unknown] = [name, resolved(node)];
        for (const step of path) {
          const pair = isMap(inner)
            ? inner.items.find(({ key }) => isScalar(key) && String(key.value) === step)
            : undefined;
          const next = isSeq(inner) ? inner.items[Number(step)] : pair?.value;
          if (next === undefined) break;
          found = pair?.key ?? next;
          inner = resolved(next);
        }
        return place(found);
      };
      declared.push({ key, value, place: place(name), placeOf, flawAt: () => place(node) });
    };
    const descend = (area: DeclaredArea, prefix: string, node: unknown, left: number) => {
      const map = resolved(node);
      if (!isMap(map)) {
        wrong(node, `${prefix} is not a mapping of names`);
        return;
      }
      for (const { key, value } of map.items) {
        const below = `${prefix}/${String(isScalar(key) ? (key.source ?? key.value) : key)}`;
        if (left > 1 || (area === 'keys' && isMap(resolved(value)))) descend(area, below, value, left - 1);
        else entry(below, key, value);
      }
    };
    if (!isMap(root)) {
      wrong(root, 'it is not a mapping of areas', `the areas are ${declaredAreas.join(', ')}`);
      continue;
    }
    for (const { key, value } of root.items) {
      const name = String(isScalar(key) ? key.value : key);
      if (name === '$schema') continue;
      if (!isDeclaredArea(name)) wrong(key, `${quote(name)} is not an area`, didYouMean(name, declaredAreas));
      else descend(name, name, value, name === 'keys' ? 0 : levelsOf[name]);
    }
  }
  return { declared, problems };
}

function textOf(key: string, node: unknown, all: () => unknown): string | undefined {
  if (isScalar(node)) {
    if (key.startsWith('keys/') && node.type === Scalar.PLAIN) return node.source;
    return typeof node.value === 'string' ? node.value : undefined;
  }
  if (key.startsWith('keys/') || !isMap(node)) return undefined;
  all();
  return JSON.stringify(node.toJSON());
}
