import type { Expression } from './go-template.ts';
import { keyName, keyOf, sectionsOf } from './keys.ts';
import { type ConfdItem, type Converted, elsewhere, type Found, itemOf, refuse, type Scope, usesDot } from './scope.ts';

/** A section that is there when a condition holds, or when it does not. */
type Condition = { readonly name: string; readonly whenThere: boolean };

/** The sections, from the outermost, that go through what a range goes through, and what each item is. */
type Range = { readonly sections: readonly string[]; readonly item: ConfdItem };

/** The tag that writes what an expression writes. */
export function valueTag(expression: Expression, scope: Scope): Converted {
  switch (expression.kind) {
    case 'text':
    case 'number':
      return expression.text;
    case 'field': {
      const name = nameOf(expression, scope);
      return typeof name === 'string' ? (name.startsWith('=') ? name.slice(1) : `{{${name}}}`) : name;
    }
    case 'call':
      return callTag(expression.name, expression.args, scope);
  }
}

function callTag(name: string, args: readonly Expression[], scope: Scope): Converted {
  const [first, second] = args;
  switch (name) {
    case 'getv': {
      const key = keyOf(first, scope);
      return 'refused' in key ? key : withDefault(keyName(key), undefined, second);
    }
    case 'getenv':
      return first?.kind === 'text' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(first.text)
        ? withDefault(`env.${first.text}`, '', second)
        : refuse('a variable that is not named beforehand has no equivalent', 'name it: {{env.NAME}}');
    case 'base': {
      if (first?.kind === 'field') return baseTag(first, scope);
      const key = keyOf(first, scope);
      return 'refused' in key ? key : (key.path.split('/').at(-1) ?? '');
    }
    default:
      return refuse(
        `${name} has no equivalent`,
        hints[name] ?? 'put the value into the registry as it is to be written',
      );
  }
}

/** A value that something else stands in for when it is not there; `fallback` undefined: that is a mistake. */
function withDefault(name: Converted, fallback: string | undefined, given: Expression | undefined): Converted {
  if (typeof name !== 'string') return name;
  if (given === undefined && fallback === undefined) return `{{${name}}}`;
  if (given !== undefined && given.kind !== 'text' && given.kind !== 'number') {
    return refuse('this default has no equivalent', `write {{#${name}}}{{.}}{{/${name}}}{{^${name}}}…{{/${name}}}`);
  }
  const there = `{{#${name}}}{{.}}{{/${name}}}`;
  const text = given?.text ?? fallback ?? '';
  return text === '' ? there : `${there}{{^${name}}}${text}{{/${name}}}`;
}

function baseTag(field: Extract<Expression, { kind: 'field' }>, scope: Scope): Converted {
  const item = itemOf(field, scope);
  if ('refused' in item) return item;
  const [only] = field.fields;
  if (item.kind === 'pair' && only === 'Key') return '{{name}}';
  if (item.kind === 'folder' && only === undefined) return '{{name}}';
  if (item.kind === 'key' && only === 'Key') return item.path.split('/').at(-1) ?? '';
  return refuse('base of this has no equivalent', 'the last part of a key is {{name}}');
}

/** The name that stands for a field; after `=` it is the text itself. */
function nameOf(field: Extract<Expression, { kind: 'field' }>, scope: Scope): Converted {
  const variable = field.variable === undefined ? undefined : scope.variables.get(field.variable);
  if (variable?.kind === 'expression') return aliasName(variable.expression, variable.depth, field, scope);
  const item = itemOf(field, scope);
  if ('refused' in item) return item;
  const path = field.fields.join('.');
  switch (item.kind) {
    case 'pair':
      if (path === 'Key' || path === 'Value') return path.toLowerCase();
      break;
    case 'key':
      if (path === 'Key') return `=/${item.path}`;
      if (path === 'Value') return keyName({ path: item.path, within: false });
      break;
    case 'value':
      if (path === '') return 'value';
      break;
    case 'folder':
      if (path === '') return 'name';
      break;
    case 'json':
      return path === '' ? '.' : path;
    case 'nothing':
  }
  return refuse(
    `{{${field.variable ?? ''}.${path}}} stands for nothing that is known here`,
    'see docs/files.md for the names',
  );
}

/** The name of a field of a value that was read as JSON, or of what another variable stands for. */
function aliasName(
  expression: Expression,
  depth: number,
  field: Extract<Expression, { kind: 'field' }>,
  scope: Scope,
): Converted {
  if (usesDot(expression) && depth !== scope.depth) return elsewhere(field.variable ?? '.');
  if (expression.kind === 'call' && expression.name === 'json') {
    const [of] = expression.args;
    const whole = of?.kind === 'field' ? nameOf(of, scope) : undefined;
    if (whole !== 'value') {
      const hint = 'JSON is read in a list only: {{#keys.FOLDER.*}}{{json.FIELD}}{{/keys.FOLDER.*}}';
      return refuse('json of this has no equivalent', hint);
    }
    return ['json', ...field.fields].join('.');
  }
  if (field.fields.length > 0) return refuse(`${field.variable} has no fields that are known`, 'name the key itself');
  const tag = valueTag(expression, scope);
  if (typeof tag !== 'string') return tag;
  return /^\{\{[^#^/][^}]*\}\}$/.test(tag) ? tag.slice(2, -2) : `=${tag}`;
}

export function conditionOf(expression: Expression | undefined, scope: Scope): Found<Condition> {
  if (expression?.kind === 'call') {
    const [first] = expression.args;
    switch (expression.name) {
      case 'not': {
        const condition = conditionOf(first, scope);
        return 'refused' in condition ? condition : { ...condition, whenThere: !condition.whenThere };
      }
      case 'exists':
      case 'ls': {
        const key = keyOf(first, scope);
        if ('refused' in key) return key;
        const name = keyName(key);
        return typeof name === 'string' ? { name, whenThere: true } : name;
      }
    }
  }
  return refuse(
    'this condition has no equivalent',
    'Mustache compares nothing: {{#keys.A}}…{{/keys.A}} asks whether a key is there, {{^keys.A}}…{{/keys.A}} whether it is not',
  );
}

export function rangeOf(expression: Expression | undefined, scope: Scope): Found<Range> {
  const range = findRange(expression, scope);
  return 'refused' in range || !scope.conditional || !range.sections[0]?.startsWith('*')
    ? range
    : refuse('this range within an {{if}} has no equivalent', 'ask within the range, or leave the {{if}} out');
}

function findRange(expression: Expression | undefined, scope: Scope): Found<Range> {
  if (expression?.kind === 'field') {
    const variable = expression.variable === undefined ? undefined : scope.variables.get(expression.variable);
    if (variable?.kind === 'expression' && expression.fields.length === 0) {
      if (usesDot(variable.expression) && variable.depth !== scope.depth) return elsewhere(expression.variable ?? '.');
      return findRange(variable.expression, scope);
    }
    const name = nameOf(expression, scope);
    if (typeof name !== 'string') return name;
    if (name.startsWith('json.') || scope.item.kind === 'json') return { sections: [name], item: { kind: 'json' } };
  }
  if (expression?.kind === 'call') {
    const key = keyOf(expression.args[0], scope);
    switch (expression.name) {
      case 'gets':
      case 'getvs': {
        if ('refused' in key) return key;
        const sections = sectionsOf(key);
        return 'refused' in sections
          ? sections
          : { sections: sections.names, item: { kind: expression.name === 'gets' ? 'pair' : 'value' } };
      }
      case 'lsdir': {
        if ('refused' in key) return key;
        const folder = keyName(key);
        if (typeof folder !== 'string') return folder;
        const name = folder === 'here' ? '*/' : `${folder}.*/`;
        return { sections: [name], item: { kind: 'folder', path: key.within ? undefined : key.path } };
      }
      case 'ls':
        return refuse(
          'ls has no equivalent, for it gives keys and folders alike',
          '{{#keys.A.*}}{{name}}{{/keys.A.*}} goes through the keys, {{#keys.A.*/}}{{name}}{{/keys.A.*/}} through the folders',
        );
    }
  }
  return refuse(
    'this range has no equivalent',
    '{{#keys.A.*}}{{name}} {{value}}{{/keys.A.*}} goes through the keys in A',
  );
}

const encrypted = 'encrypted values are not read: put the value there as it is, and let etcd say who may read it';
const hints: Readonly<Record<string, string>> = {
  datetime: 'leave it out: the file would be another one each time',
  cget: encrypted,
  cgets: encrypted,
  cgetv: encrypted,
  cgetvs: encrypted,
  join: '{{#keys.A.*}}{{value}}{{^last}},{{/last}}{{/keys.A.*}} puts something between values',
  json: '{{#keys.FOLDER.*}}{{json.FIELD}}{{/keys.FOLDER.*}} reads JSON',
};
