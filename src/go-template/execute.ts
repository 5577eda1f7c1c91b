import { builtins } from './builtins.ts';
import type { Bytes } from './bytes.ts';
import { printed } from './format.ts';
import { TemplateError, type Templates } from './parse.ts';
import {
  type Command,
  type Definition,
  type Node,
  type NumberNode,
  type Operand,
  type Pipeline,
  placeOf,
  show,
} from './tree.ts';
import {
  anyType,
  canBeNil,
  GoComplex,
  GoError,
  GoFunction,
  GoList,
  GoMap,
  GoStruct,
  type GoType,
  type GoValue,
  integer,
  integerOf,
  isIntegerType,
  isTrue,
  typeOf,
  zeroOf,
} from './value.ts';

/** Functions by name. */
type Functions = ReadonlyMap<string, GoFunction>;

/** Makes the text that is printed of the one that a pipeline gave. Throws GoError for what must not be printed. */
export type Print = (text: Bytes, pipeline: Pipeline) => Bytes;

export type ExecuteOptions = {
  readonly functions: Functions;
  /** For what actions print; as it is if left out. */
  readonly print?: Print | undefined;
  /** What a map without a key gives, as Go's option `missingkey`; `<no value>` if left out. */
  readonly missingKey?: 'invalid' | 'zero' | 'error';
};

/** Templates in templates. Go allows 100,000; a JavaScript stack ends before. */
const maxDepth = 500;

/** No value from the command before: the first command of a pipeline. Unlike undefined, which is a nil. */
const nothing = Symbol('nothing');
type Final = GoValue | typeof nothing;
type Variable = { readonly name: string; value: GoValue };
type Leave = 'break' | 'continue' | undefined;

/** Executes one template. Another one that it calls gets an execution of its own. */
class Execution {
  readonly #templates: Templates;
  readonly #name: Bytes;
  readonly #definition: Definition;
  readonly #options: ExecuteOptions;
  readonly #out: Bytes[];
  readonly #depth: number;
  readonly #variables: Variable[];

  constructor(
    templates: Templates,
    name: Bytes,
    definition: Definition,
    options: ExecuteOptions,
    data: GoValue,
    out: Bytes[],
    depth: number,
  ) {
    this.#templates = templates;
    this.#name = name;
    this.#definition = definition;
    this.#options = options;
    this.#variables = [{ name: '$', value: data }];
    this.#out = out;
    this.#depth = depth;
  }

  run(dot: GoValue): void {
    this.#walk(dot, this.#definition.body);
  }

  #fail(node: Operand | Command | Node, message: string): never {
    const { file, source } = this.#definition;
    const { line, column } = placeOf(source, node.at);
    const full = `template: ${file}:${line}:${column}: executing "${this.#name}" at <${show(node)}>: ${message}`;
    throw new TemplateError(file, source, node.at, full);
  }

  #walk(dot: GoValue, nodes: readonly Node[]): Leave {
    for (const node of nodes) {
      const leave = this.#node(dot, node);
      if (leave !== undefined) return leave;
    }
    return undefined;
  }

  #node(dot: GoValue, node: Node): Leave {
    switch (node.kind) {
      case 'text':
        this.#out.push(node.text);
        return undefined;
      case 'action': {
        const value = this.#pipeline(dot, node.pipeline);
        if (node.pipeline.variables.length > 0) return undefined;
        if (value instanceof GoFunction) this.#fail(node, `can't print ${show(node)} of type ${value.type}`);
        this.#out.push(this.#printed(node.pipeline, printed(value)));
        return undefined;
      }
      case 'if':
      case 'with':
        return this.#scoped(() => {
          const value = this.#pipeline(dot, node.pipeline);
          if (isTrue(value)) return this.#walk(node.kind === 'with' ? value : dot, node.body);
          return node.otherwise && this.#walk(dot, node.otherwise);
        });
      case 'range':
        return this.#scoped(() => this.#range(dot, node));
      case 'template':
        this.#call(dot, node);
        return undefined;
      default:
        return node.kind;
    }
  }

  #printed(pipeline: Pipeline, text: Bytes): Bytes {
    const { print } = this.#options;
    if (print === undefined) return text;
    try {
      return print(text, pipeline);
    } catch (error) {
      if (!(error instanceof GoError)) throw error;
      return this.#fail(pipeline, error.message);
    }
  }

  /** Variables that are declared inside are gone afterwards. */
  #scoped(run: () => Leave): Leave {
    const visible = this.#variables.length;
    const leave = run();
    this.#variables.length = visible;
    return leave;
  }

  #range(dot: GoValue, node: Extract<Node, { readonly kind: 'if' | 'with' | 'range' }>): Leave {
    const { pipeline } = node;
    const value = this.#pipeline(dot, pipeline);
    const count = pipeline.variables.length;
    const visible = this.#variables.length;
    let any = false;
    for (const [index, element] of this.#elements(node, value)) {
      any = true;
      this.#setTop(1, count > 0, element);
      this.#setTop(2, count > 1, index);
      const leave = this.#walk(element, node.body);
      this.#variables.length = visible;
      if (leave === 'break') break;
    }
    return any || node.otherwise === undefined ? undefined : this.#walk(dot, node.otherwise);
  }

  #setTop(from: number, declared: boolean, value: GoValue): void {
    const variable = this.#variables.at(-from);
    if (declared && variable !== undefined) variable.value = value;
  }

  *#elements(
    node: Node & { readonly pipeline?: Pipeline | undefined },
    value: GoValue,
  ): Iterable<readonly [GoValue, GoValue]> {
    if (value === undefined || value === null) return;
    const length = integerOf(value);
    if (length !== undefined) for (let i = 0n; i < length; i++) yield [i, i];
    else if (value instanceof GoList) for (const [i, item] of value.items.entries()) yield [BigInt(i), item];
    else if (value instanceof GoMap) yield* value.sorted();
    else this.#fail(node.pipeline ?? node, `range can't iterate over ${printed(value)}`);
  }

  #call(dot: GoValue, node: Extract<Node, { readonly kind: 'template' }>): void {
    const definition = this.#templates.get(node.name);
    if (definition === undefined) this.#fail(node, `template "${node.name}" not defined`);
    if (this.#depth >= maxDepth) this.#fail(node, `exceeded maximum template depth (${maxDepth})`);
    const data = node.pipeline && this.#pipeline(dot, node.pipeline);
    const depth = this.#depth + 1;
    new Execution(this.#templates, node.name, definition, this.#options, data, this.#out, depth).run(data);
  }

  #pipeline(dot: GoValue, pipeline: Pipeline): GoValue {
    let value: Final = nothing;
    // A nil of a list or a map is no value from here on.
    for (const command of pipeline.commands) value = this.#command(dot, command, value) ?? undefined;
    const result = value === nothing ? undefined : value;
    for (const name of pipeline.variables) {
      if (!pipeline.assigns) this.#variables.push({ name, value: result });
      else this.#variable(pipeline, name).value = result;
    }
    return result;
  }

  #variable(node: Operand, name: string): Variable {
    const variable = this.#variables.findLast((one) => one.name === name);
    if (variable === undefined) this.#fail(node, `undefined variable: ${name}`);
    return variable;
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
    if (args.length > 0 || final !== nothing) this.#fail(first, `can't give argument to non-function ${show(first)}`);
    if (first.kind === 'nil') this.#fail(first, 'nil is not a command');
    return this.#constant(dot, first);
  }

  /** What an operand without arguments is, where no type is asked for. */
  #constant(dot: GoValue, node: Operand): GoValue {
    switch (node.kind) {
      case 'pipeline':
        return this.#pipeline(dot, node);
      case 'bool':
      case 'string':
        return node.value;
      case 'dot':
        return dot;
      case 'number':
        return this.#ideal(node);
      case 'nil':
        return undefined;
      default:
        return this.#evaluate(dot, node, [], nothing, node);
    }
  }

  #ideal(node: NumberNode): GoValue {
    if (node.complex !== undefined) return new GoComplex(node.complex.re, node.complex.im);
    const isHex = /^0[xX]/.test(node.text) && node.text.length > 2 && !/[pP]/.test(node.text);
    if (node.float !== undefined && !isHex && !node.text.startsWith("'") && /[.eEpP]/.test(node.text))
      return node.float;
    if (node.int === undefined) this.#fail(node, `${node.text} overflows int`);
    return node.int;
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
        const { value } = this.#variable(node, node.name);
        if (node.fields.length > 0) return this.#fields(dot, value, node, node.fields, args, final);
        if (args.length > 0 || final !== nothing) this.#fail(node, `can't give argument to non-function ${show(node)}`);
        return value;
      }
      case 'chain': {
        if (node.of.kind === 'nil') this.#fail(node, `indirection through explicit nil in ${show(node)}`);
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
      if (missingKey === 'error') this.#fail(node, `nil data; no entry for key "${field}"`);
      return undefined;
    }
    if (receiver === null) this.#fail(node, `nil pointer evaluating ${anyType}.${field}`);
    const hasArguments = args.length > 0 || final !== nothing;
    if (receiver instanceof GoStruct) {
      const method = receiver.methods.get(field);
      if (method !== undefined) return this.#invoke(dot, method, field, args, final, node);
      const value = receiver.fields.get(field);
      if (receiver.fields.has(field)) {
        if (hasArguments) this.#fail(node, `${field} has arguments but cannot be invoked as function`);
        return value;
      }
    }
    if (receiver instanceof GoMap) {
      if (hasArguments) this.#fail(node, `${field} is not a method but has arguments`);
      if (receiver.entries.has(field)) return receiver.entries.get(field);
      if (missingKey === 'error') this.#fail(node, `map has no entry for key "${field}"`);
      return missingKey === 'zero' ? zeroOf(receiver.element) : undefined;
    }
    return this.#fail(node, `can't evaluate field ${field} in type ${typeOf(receiver)}`);
  }

  #function(dot: GoValue, name: string, args: readonly Operand[], final: Final, at: Operand | Command): GoValue {
    const own = this.#options.functions.get(name);
    if (own === undefined && (name === 'and' || name === 'or')) return this.#logic(dot, name, args, final, at);
    const found = own ?? builtins.get(name);
    if (found === undefined) this.#fail(at, `"${name}" is not a defined function`);
    return this.#invoke(dot, found, name, args, final, at);
  }

  /** `and` and `or` evaluate no further argument than they need. */
  #logic(dot: GoValue, name: 'and' | 'or', args: readonly Operand[], final: Final, at: Operand | Command): GoValue {
    if (args.length === 0 && final === nothing)
      this.#fail(at, `wrong number of args for ${name}: want at least 1 got 0`);
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
      this.#fail(
        at,
        `wrong number of args for ${name}: want ${want} got ${variadic === undefined ? count : args.length}`,
      );
    }
    const typeAt = (i: number): GoType => params[i] ?? variadic ?? anyType;
    const values = args.map((arg, i) => this.#argument(dot, typeAt(i), arg));
    if (final !== nothing) values.push(this.#validate(at, final, typeAt(args.length)));
    try {
      return called.run(values);
    } catch (error) {
      if (!(error instanceof GoError)) throw error;
      return this.#fail(at, `error calling ${name}: ${error.message}`);
    }
  }

  #argument(dot: GoValue, type: GoType, node: Operand): GoValue {
    switch (node.kind) {
      case 'nil':
        if (!canBeNil(type)) this.#fail(node, `cannot assign nil to ${type}`);
        return zeroOf(type) ?? undefined;
      case 'bool':
      case 'string':
      case 'number':
        return this.#literal(type, node);
      default:
        return this.#validate(node, this.#constant(dot, node), type);
    }
  }

  /** A constant takes the type that is wanted, as in Go: `1.0` is an int where an int is wanted. */
  #literal(type: GoType, node: Extract<Operand, { readonly kind: 'bool' | 'string' | 'number' }>): GoValue {
    if (type === anyType) return this.#constant(undefined, node);
    if (type === 'string' || type === 'bool') {
      if (node.kind === type && node.kind !== undefined) return (node as { readonly value: GoValue }).value;
      this.#fail(node, `expected ${type}; found ${show(node)}`);
    }
    if (type === 'float64') {
      if (node.kind === 'number' && node.float !== undefined) return node.float;
      this.#fail(node, `expected float; found ${show(node)}`);
    }
    if (isIntegerType(type)) {
      const unsigned = type.startsWith('u');
      const value = node.kind === 'number' ? (unsigned ? node.uint : node.int) : undefined;
      if (value === undefined) this.#fail(node, `expected ${unsigned ? 'unsigned ' : ''}integer; found ${show(node)}`);
      return integer(type, value);
    }
    return this.#fail(node, `can't handle ${show(node)} for arg of type ${type}`);
  }

  #validate(node: Operand | Command, value: GoValue, type: GoType): GoValue {
    if (value === undefined) {
      if (!canBeNil(type)) this.#fail(node, `invalid value; expected ${type}`);
      return zeroOf(type) ?? undefined;
    }
    if (type === anyType) return value ?? undefined;
    if (isAssignable(value, type)) return value;
    return this.#fail(node, `wrong type for value; expected ${type}; got ${typeOf(value)}`);
  }
}

/** A named slice and the slice that it is made of can be given for each other. */
const isAssignable = (value: GoValue, type: GoType): boolean =>
  typeOf(value) === type || (value instanceof GoList && `[]${value.element}` === type);

/**
 * The bytes that a template makes of data. Throws TemplateError, as Go's Execute gives an error; what was made until
 * then is lost.
 */
export function execute(templates: Templates, name: Bytes, data: GoValue, options: ExecuteOptions): Bytes {
  const definition = templates.get(name);
  if (definition === undefined) throw new Error(`there is no template ${name}`);
  const out: Bytes[] = [];
  new Execution(templates, name, definition, options, data, out, 0).run(data);
  return out.join('');
}
