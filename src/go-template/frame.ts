import type { Bytes } from './bytes.ts';
import { TemplateError } from './template-error.ts';
import { type Command, type Definition, type Node, type Operand, placeOf, show } from './tree.ts';
import type { GoValue } from './value.ts';

type Variable = { readonly name: string; value: GoValue };

/** One call of a template: its variables, and errors with its name. */
export class Frame {
  readonly #name: Bytes;
  readonly #definition: Definition;
  readonly #variables: Variable[];

  constructor(name: Bytes, definition: Definition, data: GoValue) {
    this.#name = name;
    this.#definition = definition;
    this.#variables = [{ name: '$', value: data }];
  }

  fail(node: Operand | Command | Node, message: string): never {
    const { file, source } = this.#definition;
    const { line, column } = placeOf(source, node.at);
    const full = `template: ${file}:${line}:${column}: executing "${this.#name}" at <${show(node)}>: ${message}`;
    throw new TemplateError(file, source, node.at, full);
  }

  declare(name: string, value: GoValue): void {
    this.#variables.push({ name, value });
  }

  variable(node: Operand, name: string): Variable {
    const variable = this.#variables.findLast((one) => one.name === name);
    if (variable === undefined) this.fail(node, `undefined variable: ${name}`);
    return variable;
  }

  /** How many variables there are. */
  get visible(): number {
    return this.#variables.length;
  }

  /** Variables that were declared after the first `visible` are gone. */
  forget(visible: number): void {
    this.#variables.length = visible;
  }

  /** Sets the variable that was declared last (`from` is 1), or the one before (2). */
  setTop(from: number, value: GoValue): void {
    const variable = this.#variables.at(-from);
    if (variable !== undefined) variable.value = value;
  }
}
