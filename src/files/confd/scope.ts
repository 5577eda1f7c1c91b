import type { Expression } from './go-template.ts';

/** What the dot, or a variable of a range, stands for. */
export type ConfdItem =
  | { readonly kind: 'nothing' }
  /** Of `range gets`: a key with its value. */
  | { readonly kind: 'pair' }
  /** Of `with get "/a/b"`: this key, as `a/b`. */
  | { readonly kind: 'key'; readonly path: string }
  /** Of `range getvs`. */
  | { readonly kind: 'value' }
  /** Of `range lsdir "/a"`: the name of a folder in `a`; undefined where that is not known beforehand. */
  | { readonly kind: 'folder'; readonly path: string | undefined }
  /** Of `range $data.list`: something in a value that is JSON. */
  | { readonly kind: 'json' };

/** `depth` is that of the range or `with` that it was set in. */
export type Variable = { readonly depth: number } & (
  | { readonly kind: 'item'; readonly item: ConfdItem }
  | { readonly kind: 'expression'; readonly expression: Expression }
);

/** What is known at one place of a template. */
export type Scope = {
  /** What the dot is. */
  readonly item: ConfdItem;
  readonly depth: number;
  /** Within `if`, which in Mustache is a section of a key: it has lists of its own. */
  readonly conditional: boolean;
  readonly variables: ReadonlyMap<string, Variable>;
};

/** Why something cannot be converted, and what to write instead. */
export type NotConverted = { readonly refused: string; readonly hint: string };
export type Converted = string | NotConverted;

export const refuse = (refused: string, hint: string): NotConverted => ({ refused, hint });

/** Something, or why there is none. */
export type Found<T extends object> = T | NotConverted;

/** What the dot or a variable of a range is, if it can be named here. */
export function itemOf({ variable: name }: Extract<Expression, { kind: 'field' }>, scope: Scope): Found<ConfdItem> {
  if (name === undefined) return scope.item;
  const variable = scope.variables.get(name);
  if (variable === undefined) return refuse(`${name} is not known`, 'set it before, or name the key itself');
  if (variable.kind === 'expression') return refuse(`${name} is no item of a range`, 'name the key itself');
  return variable.depth === scope.depth ? variable.item : elsewhere(name);
}

export const elsewhere = (name: string): NotConverted =>
  refuse(`${name} of a range is used within another`, 'Mustache finds a name in the innermost section that has it');

/** Whether it means another thing where the dot is another. */
export function usesDot(expression: Expression): boolean {
  if (expression.kind === 'field') return expression.variable === undefined;
  return expression.kind === 'call' && expression.args.some(usesDot);
}
