import type { Expression } from './go-template.ts';
import { type Converted, elsewhere, type Found, itemOf, refuse, type Scope, usesDot } from './scope.ts';

/** A key: `services/web`, or one within the folder that is gone through. */
export type KeyPlace = { readonly path: string; readonly within: boolean };

/** The key that an expression names. */
export function keyOf(expression: Expression | undefined, scope: Scope): Found<KeyPlace> {
  if (expression?.kind === 'text') return { path: trimmed(expression.text), within: false };
  if (expression?.kind === 'field' && expression.variable !== undefined && expression.fields.length === 0) {
    const variable = scope.variables.get(expression.variable);
    if (variable?.kind === 'expression') {
      if (usesDot(variable.expression) && variable.depth !== scope.depth) return elsewhere(expression.variable);
      return keyOf(variable.expression, scope);
    }
  }
  if (expression?.kind === 'call' && expression.name === 'printf') return printedKey(expression.args, scope);
  return refuse('a key that is put together like this has no equivalent', 'name the key: {{keys.A.B}}');
}

/** `printf "/services/%s/host" .` in a range of `lsdir "/services"`: `host` in that folder. */
function printedKey([format, argument, ...more]: readonly Expression[], scope: Scope): Found<KeyPlace> {
  const hint = 'in {{#keys.A.*/}} the folder that is gone through is {{here.B}}, and its keys are {{#*}}…{{/*}}';
  const cannot = refuse('a key that is put together like this has no equivalent', hint);
  if (format?.kind !== 'text' || argument === undefined || more.length > 0) return cannot;
  const of = argument.kind === 'call' && argument.name === 'base' ? argument.args[0] : argument;
  if (of?.kind !== 'field' || of.fields.length > 0) return cannot;
  const item = itemOf(of, scope);
  if ('refused' in item) return item;
  if (item.kind !== 'folder' || item.path === undefined) return cannot;
  const match = /^([^%]*)\/%[sv](?:\/([^%]*))?$/.exec(format.text);
  if (match === null || trimmed(match[1] ?? '') !== item.path) return cannot;
  return { path: trimmed(match[2] ?? ''), within: true };
}

/** The name of a key in a template. */
export function keyName(key: KeyPlace): Converted {
  const segments = key.path === '' ? [] : key.path.split('/');
  const bad = segments.find((segment) => !/^[A-Za-z0-9_@+,:%=-][A-Za-z0-9._@+,:%=-]*$/.test(segment));
  if (bad !== undefined)
    return refuse(`a key with the part ${JSON.stringify(bad)} cannot be named`, 'go through its folder');
  return [key.within ? 'here' : 'keys', ...segments].join('.');
}

/** The sections of a pattern like `services/*\/*`: each star is one, all but the last go through folders. */
export function sectionsOf({ path, within }: KeyPlace): Found<{ readonly names: readonly string[] }> {
  const parts = path.split('/');
  if (parts.at(-1) !== '*') {
    return refuse(`the pattern /${path} has no equivalent`, 'one that ends with /* does: {{#keys.A.*}}…{{/keys.A.*}}');
  }
  const names: string[] = [];
  let from: string[] = [];
  let inFolder = within;
  for (const [i, part] of parts.entries()) {
    if (part !== '*') {
      from.push(part);
      continue;
    }
    const folder = keyName({ path: from.join('/'), within: inFolder });
    if (typeof folder !== 'string') return folder;
    const star = i === parts.length - 1 ? '*' : '*/';
    names.push(folder === 'here' ? star : `${folder}.${star}`);
    from = [];
    inFolder = true;
  }
  return { names };
}

const trimmed = (key: string): string => key.replace(/^\/+|\/+$/g, '');
