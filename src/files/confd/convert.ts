import { Fault } from '../../model/fault.ts';
import type { Source } from '../../template/mustache.ts';
import { conditionOf, rangeOf, valueTag } from './equivalents.ts';
import { type Action, type Piece, parseGoTemplate } from './go-template.ts';
import { keyOf } from './keys.ts';
import { type ConfdItem, type Converted, type NotConverted, refuse, type Scope, type Variable } from './scope.ts';

/**
 * Converts a template that was written for confd to Mustache: what has a shape that is common and means the same. Throws
 * an AggregateError of Faults `template`, each with its `file:line:column` and what to write instead.
 */
export function convertTemplate(source: Source): string {
  const faults: Fault[] = [];
  const conversion = new Conversion(parseGoTemplate(source), (where, { refused, hint }) => {
    faults.push(new Fault('template', refused, { where, hint }));
  });
  const text = conversion.run();
  if (faults.length > 0) throw new AggregateError(faults);
  return text;
}

class Conversion {
  readonly #pieces: readonly Piece[];
  readonly #report: (where: string, refusal: NotConverted) => void;
  #at = 0;

  constructor(pieces: readonly Piece[], report: (where: string, refusal: NotConverted) => void) {
    this.#pieces = pieces;
    this.#report = report;
  }

  run(): string {
    let text = '';
    while (this.#at < this.#pieces.length) {
      text += this.#block({ item: { kind: 'nothing' }, depth: 0, conditional: false, variables: new Map() });
      const stray = this.#pieces[this.#at];
      this.#at += 1;
      if (stray?.kind === 'action') {
        this.#report(stray.action.where, refuse(`{{${stray.action.source}}} closes nothing`, 'take it away'));
      }
    }
    return text;
  }

  /** Everything up to the `else` or `end` that belongs to it, and without that. */
  #block(scope: Scope): string {
    const variables = new Map(scope.variables);
    const here = { ...scope, variables };
    let text = '';
    for (; this.#at < this.#pieces.length; ) {
      const piece = this.#pieces[this.#at];
      if (piece === undefined) break;
      if (piece.kind === 'action' && (piece.action.keyword === 'end' || piece.action.keyword?.startsWith('else')))
        break;
      this.#at += 1;
      if (piece.kind === 'text') text += piece.text;
      else if (piece.kind === 'comment') text += `{{! ${piece.text.replaceAll('}}', '')} }}`;
      else text += this.#action(piece.action, here, variables);
    }
    return text;
  }

  #action(action: Action, scope: Scope, variables: Map<string, Variable>): string {
    const { keyword, expression, source, where } = action;
    const [variable] = action.variables;
    if (keyword === undefined && variable !== undefined && expression !== undefined) {
      variables.set(variable, { kind: 'expression', expression, depth: scope.depth });
      return '';
    }
    switch (keyword) {
      case undefined:
        return expression === undefined ? '' : this.#told(action, valueTag(expression, scope));
      case 'if':
        return this.#if(action, scope);
      case 'range':
        return this.#range(action, scope);
      case 'with':
        return this.#with(action, scope);
      default:
        this.#report(
          where,
          refuse(
            `{{${source}}} has no equivalent`,
            'put what it names into a file NAME.mustache beside it: {{> NAME}}',
          ),
        );
        return '';
    }
  }

  #if(action: Action, scope: Scope): string {
    const condition = conditionOf(action.expression, scope);
    const body = this.#block({ ...scope, conditional: true });
    const otherwise = this.#otherwise(scope);
    if ('refused' in condition) return this.#told(action, condition);
    const { name, whenThere } = condition;
    const there = (text: string) => (text === '' ? '' : `{{#${name}}}${text}{{/${name}}}`);
    const missing = (text: string) => (text === '' ? '' : `{{^${name}}}${text}{{/${name}}}`);
    return whenThere ? there(body) + missing(otherwise) : missing(body) + there(otherwise);
  }

  #range(action: Action, scope: Scope): string {
    const keys = rangeOf(action.expression, scope);
    const variable = action.variables.at(-1);
    const depth = scope.depth + 1;
    const variables = new Map(scope.variables);
    const item: ConfdItem = 'refused' in keys ? { kind: 'json' } : keys.item;
    if (variable !== undefined) variables.set(variable, { kind: 'item', item, depth });
    const body = this.#block({ item, depth, variables, conditional: false });
    const otherwise = this.#otherwise(scope);
    if ('refused' in keys) return this.#told(action, keys);
    if (action.variables.length > 1) {
      return this.#told(
        action,
        refuse(`{{${action.source}}} counts`, 'there are {{first}} and {{last}}, and no index'),
      );
    }
    const [outer = ''] = keys.sections;
    const open = keys.sections.map((name) => `{{#${name}}}`).join('');
    const close = keys.sections
      .toReversed()
      .map((name) => `{{/${name}}}`)
      .join('');
    if (otherwise === '') return open + body + close;
    return keys.sections.length === 1
      ? `${open}${body}${close}{{^${outer}}}${otherwise}{{/${outer}}}`
      : this.#told(action, refuse(`{{${action.source}}} … {{else}} has no equivalent`, 'leave the {{else}} out'));
  }

  #with(action: Action, scope: Scope): string {
    const { expression } = action;
    const key = expression?.kind === 'call' && expression.name === 'get' ? keyOf(expression.args[0], scope) : undefined;
    const found = key === undefined || 'refused' in key || key.within ? undefined : key.path;
    const item: ConfdItem = found === undefined ? { kind: 'json' } : { kind: 'key', path: found };
    const body = this.#block({ ...scope, item, depth: scope.depth + 1 });
    const otherwise = this.#otherwise(scope);
    if (found === undefined || otherwise !== '') {
      return this.#told(action, refuse(`{{${action.source}}} has no equivalent`, 'write {{#keys.…}}…{{/keys.…}}'));
    }
    return body;
  }

  /** What stands after `else`, up to the `end`, which it takes. */
  #otherwise(scope: Scope): string {
    const piece = this.#pieces[this.#at];
    if (piece?.kind !== 'action') {
      const where = this.#lastPlace();
      if (where !== undefined) this.#report(where, refuse('an {{end}} is missing after this', 'write one'));
      return '';
    }
    this.#at += 1;
    const { action } = piece;
    if (action.keyword === 'end') return '';
    if (action.keyword === 'else if') return this.#if({ ...action, keyword: 'if' }, scope);
    if (action.keyword !== 'else')
      return this.#told(action, refuse(`{{${action.source}}} is not understood`, 'nest it'));
    const text = this.#block(scope);
    const end = this.#pieces[this.#at];
    this.#at += 1;
    if (end?.kind !== 'action' || end.action.keyword !== 'end') {
      this.#report(action.where, refuse('an {{end}} is missing after this', 'write one'));
    }
    return text;
  }

  #lastPlace(): string | undefined {
    const action = this.#pieces.findLast((piece) => piece.kind === 'action');
    return action?.action.where;
  }

  #told(action: Action, converted: Converted): string {
    if (typeof converted === 'string') return converted;
    this.#report(action.where, converted);
    return '';
  }
}
