import { posix } from 'node:path';
import { declaredAreas, isDeclaredArea } from '../model/declared-area.ts';
import { policyKey } from '../model/key.ts';

/** What a file holds: declarations, or the value of one key. */
export type FileKind = { readonly kind: 'declarations' } | { readonly kind: 'value'; readonly key: string };

const declarations: FileKind = { kind: 'declarations' };
const isYaml = (path: string): boolean => /\.ya?ml$/.test(path);
const isJson = (path: string): boolean => path.endsWith('.json');

/** What a file that the command line names holds. `path` as it is given, with `/`. */
export function kindOfOperand(path: string, text: string): FileKind {
  if (isYaml(path) || declaresArea(path, text)) return declarations;
  const key = /(?:^|\/)((?:instances|overrides)\/[^/]+\/[^/]+|(?:services|claims)\/[^/]+)$/.exec(path)?.[1];
  return { kind: 'value', key: withoutEnding(key ?? policyKey(posix.basename(path))) };
}

/** What the files of a folder hold, by their paths below it; a file that is not among them holds nothing for the registry. */
export function kindsInFolder(texts: ReadonlyMap<string, string>): ReadonlyMap<string, FileKind> {
  const all = [...texts];
  // A tree of keys may have a value that happens to be YAML.
  const isDeclaration = ([path, text]: readonly [string, string]): boolean =>
    isYaml(path) && !path.startsWith('keys/') ? true : declaresArea(path, text);
  if (!all.some(isDeclaration)) {
    return new Map(all.map(([path]) => [path, { kind: 'value', key: withoutEnding(path) }]));
  }
  const read = all.filter(([path]) => isYaml(path) || (isJson(path) && !path.endsWith('.schema.json')));
  return new Map(read.map((one) => [one[0], isDeclaration(one) ? declarations : kindOfOther(one[0])]));
}

/** JSON in a folder of declarations that declares no area: a value by its path, or declarations that are wrong. */
function kindOfOther(path: string): FileKind {
  const isValue = /^(?:(?:instances|overrides)\/[^/]+\/[^/]+|(?:services|claims)\/[^/]+|keys\/.+)$/.test(path);
  return isValue ? { kind: 'value', key: withoutEnding(path) } : declarations;
}

/** Whether the text of a document declares an area, perhaps without entries. */
export const namesArea = (text: string): boolean => yamlArea.test(text) || jsonArea.test(text);

/** Whether the path, in a folder of declarations, is that of a key in a tree of keys: not of a file such as services/OWNERS. */
export const isKeyPath = (path: string): boolean =>
  /^(?:(?:services|claims)\/[a-z0-9*][a-z0-9_-]*|(?:instances|overrides)\/[^/]+\/[a-z0-9*][a-z0-9_-]*)$/.test(path);

/** Whether the text seems to declare entries: it names an area at its top level. */
function declaresArea(path: string, text: string): boolean {
  if (!isJson(path)) return yamlArea.test(text);
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null && Object.keys(json).some(isDeclaredArea);
  } catch {
    return jsonArea.test(text);
  }
}

const words = declaredAreas.join('|');
const yamlArea = new RegExp(`^(?:\\{\\s*)?["']?(?:${words})["']?[ \\t]*:(?:\\s|$)`, 'm');
const jsonArea = new RegExp(`"(?:${words})"\\s*:\\s*\\{`);

const withoutEnding = (key: string): string => key.replace(/\.json$/, '');
