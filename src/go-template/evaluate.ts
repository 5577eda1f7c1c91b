import { literalAs, literalOf, nilAs, valueAs } from './arguments.ts';
import { builtins } from './builtins.ts';
import type { Frame } from './frame.ts';
import { type Command, type Operand, type Pipeline, show } from './tree.ts';
import {
  anyType,
  GoError,
  type GoFunction,
  GoInteger,
  GoMap,
  GoStruct,
  type GoType,
  type GoValue,
  isTrue,
  typeOf,
  zeroOf,
} from './value.ts';

export type EvaluateOptions = {
  /** By name. */
  readonly functions: ReadonlyMap<string, GoFunction>;
  /** What a map without a key gives, as Go's option `missingkey`; `<no value>` if left out. */
  readonly missingKey?: 'invalid' | 'zero' | 'error';
};

/** No value from the command before: the first command of a pipeline. Unlike undefined, which is a nil. */
const nothing = Symbol('nothing');
type Final = GoValue | typeof nothing;

/** Evaluates the pipelines of one call of a template. */
export class Evaluation {
  readonly #frame: Frame;
  readonly #options: EvaluateOptions;

  constructor(frame: Frame, options: EvaluateOptions) {
    this.#frame = frame;
    this.#options = options;
  }

  pipeline(dot: GoValue, pipeline: Pipeline): GoValue {
    let value: Final = nothing;
    // A nil of a list or a map is no value from here on.
    for (const command of pipeline.commands) value = this.#command(dot, command, value) ?? undefined;
    const result = value === nothing ? undefined : value;
    for (const name of pipeline.variables) {
      if (!pipeline.assigns) this.#frame.declare(name, result);
      else this.#frame.variable(pipeline, name).value = result;
    }
    return result;
  }

  #command(dot: GoValue, command: Command, final: Final): GoValue {
    const [first, ...args] = command.operands;
    switch (first.kind) {
      case 'field':
      case 'variable':
      case 'chain':
      case 'identifier':
        return this.#evaluate(dot, first, args, final, first.kind === 'identifier' ? command : first);
      default:
    }
    if (args.length > 0 || final !== nothing)
      this.#frame.fail(first, `can't give argument to non-function ${show(first)}`);
    if (first.kind === 'nil') this.#frame.fail(first, 'nil is not a command');
    return this.#constant(dot, first);
  }

  /** What an operand without arguments is, where no type is asked for. */
  #constant(dot: GoValue, node: Operand): GoValue {
    switch (node.kind) {
      case 'pipeline':
        return this.pipeline(dot, node);
      case 'bool':
      case 'string':
      case 'number':
        return literalOf(this.#frame, node);
      case 'dot':
        return dot;
      case 'nil':
        return undefined;
      default:
        return this.#evaluate(dot, node, [], nothing, node);
    }
  }

  #evaluate(
    dot: GoValue,
    node: Extract<Operand, { readonly kind: 'field' | 'variable' | 'chain' | 'identifier' }>,
    args: readonly Operand[],
    final: Final,
    at: Operand | Command,
  ): GoValue {
    switch (node.kind) {
      case 'identifier':
        return this.#function(dot, node.name, args, final, at);
      case 'field':
        return this.#fields(dot, dot, node, node.fields, args, final);
      case 'variable': {
        const { value } = this.#frame.variable(node, node.name);
        if (node.fields.length > 0) return this.#fields(dot, value, node, node.fields, args, final);
        if (args.length > 0 || final !== nothing)
          this.#frame.fail(node, `can't give argument to non-function ${show(node)}`);
        return value;
      }
      case 'chain': {
        if (node.of.kind === 'nil') this.#frame.fail(node, `indirection through explicit nil in ${show(node)}`);
        return this.#fields(dot, this.#constant(dot, node.of), node, node.fields, args, final);
      }
    }
  }

  /** `.A.B args`: only the last one can be a method, and gets the arguments. */
  #fields(
    dot: GoValue,
    receiver: GoValue,
    node: Operand,
    fields: readonly string[],
    args: readonly Operand[],
    final: Final,
  ): GoValue {
    let value = receiver;
    for (const [i, field] of fields.entries()) {
      const isLast = i === fields.length - 1;
      value = this.#field(dot, value, node, field, isLast ? args : [], isLast ? final : nothing);
    }
    return value;
  }

  #field(
    dot: GoValue,
    receiver: GoValue,
    node: Operand,
    field: string,
    args: readonly Operand[],
    final: Final,
  ): GoValue {
    const { missingKey = 'invalid' } = this.#options;
    if (receiver === undefined) {
      if (missingKey === 'error') this.#frame.fail(node, `nil data; no entry for key "${field}"`);
      return undefined;
    }
    if (receiver === null) this.#frame.fail(node, `nil pointer evaluating ${anyType}.${field}`);
    const hasArguments = args.length > 0 || final !== nothing;
    if (receiver instanceof GoStruct || receiver instanceof GoInteger) {
      const method = receiver.method?.(field);
      if (method !== undefined) return this.#invoke(dot, method, field, args, final, node);
    }
    if (receiver instanceof GoStruct) {
      const value = receiver.fields.get(field);
      if (receiver.fields.has(field)) {
        if (!/^\p{Lu}/u.test(field)) {
          this.#frame.fail(node, `${field} is an unexported field of struct type ${receiver.type}`);
        }
        if (hasArguments) this.#frame.fail(node, `${field} has arguments but cannot be invoked as function`);
        return value;
      }
    }
    if (receiver instanceof GoMap) {
      if (hasArguments) this.#frame.fail(node, `${field} is not a method but has arguments`);
      if (receiver.entries.has(field)) return receiver.entries.get(field);
      if (missingKey === 'error') this.#frame.fail(node, `map has no entry for key "${field}"`);
      return missingKey === 'zero' ? zeroOf(receiver.element) : undefined;
    }
    return this.#frame.fail(node, `can't evaluate field ${field} in type ${typeOf(receiver)}`);
  }

  #function(dot: GoValue, name: string, args: readonly Operand[], final: Final, at: Operand | Command): GoValue {
    const own = this.#options.functions.get(name);
    if (own === undefined && (name === 'and' || name === 'or')) return this.#logic(dot, name, args, final, at);
    const found = own ?? builtins.get(name);
    if (found === undefined) this.#frame.fail(at, `"${name}" is not a defined function`);
    return this.#invoke(dot, found, name, args, final, at);
  }

  /** `and` and `or` evaluate no further argument than they need. */
  #logic(dot: GoValue, name: 'and' | 'or', args: readonly Operand[], final: Final, at: Operand | Command): GoValue {
    if (args.length === 0 && final === nothing)
      this.#frame.fail(at, `wrong number of args for ${name}: want at least 1 got 0`);
    let value: GoValue;
    for (const arg of args) {
      value = this.#argument(dot, anyType, arg);
      if (isTrue(value) === (name === 'or')) return value;
    }
    return final === nothing ? value : final;
  }

  #invoke(
    dot: GoValue,
    called: GoFunction,
    name: string,
    args: readonly Operand[],
    final: Final,
    at: Operand | Command,
  ): GoValue {
    const { params, variadic } = called;
    const count = args.length + (final === nothing ? 0 : 1);
    if (variadic === undefined ? count !== params.length : count < params.length) {
      const want = variadic === undefined ? `${params.length}` : `at least ${params.length}`;
      this.#frame.fail(
        at,
        `wrong number of args for ${name}: want ${want} got ${variadic === undefined ? count : args.length}`,
      );
    }
    const typeAt = (i: number): GoType => params[i] ?? variadic ?? anyType;
    const values = args.map((arg, i) => this.#argument(dot, typeAt(i), arg));
    if (final !== nothing) values.push(valueAs(this.#frame, at, final, typeAt(args.length)));
    try {
      return called.run(values);
    } catch (error) {
      if (!(error instanceof GoError)) throw error;
      return this.#frame.fail(at, `error calling ${name}: ${error.message}`);
    }
  }

  #argument(dot: GoValue, type: GoType, node: Operand): GoValue {
    switch (node.kind) {
      case 'nil':
        return nilAs(this.#frame, node, type);
      case 'bool':
      case 'string':
      case 'number':
        return literalAs(this.#frame, node, type);
      default:
        return valueAs(this.#frame, node, this.#constant(dot, node), type);
    }
  }
}
