import type { Bytes } from './bytes.ts';
import { type EvaluateOptions, Evaluation } from './evaluate.ts';
import { printed } from './format.ts';
import { Frame } from './frame.ts';
import type { Templates } from './parse.ts';
import { type Definition, type Node, type Pipeline, show } from './tree.ts';
import { GoError, GoFunction, GoList, GoMap, type GoValue, integerOf, isTrue } from './value.ts';

/** Makes the text that is printed of the one that a pipeline gave. Throws GoError for what must not be printed. */
export type Print = (text: Bytes, pipeline: Pipeline) => Bytes;

export type ExecuteOptions = EvaluateOptions & {
  /** For what actions print; as it is if left out. */
  readonly print?: Print | undefined;
};

/** Templates in templates. Go allows 100,000; a JavaScript stack ends before. */
const maxDepth = 500;

type Leave = 'break' | 'continue' | undefined;

/** Executes one template. Another one that it calls gets an execution of its own. */
class Execution {
  readonly #templates: Templates;
  readonly #body: readonly Node[];
  readonly #options: ExecuteOptions;
  readonly #out: Bytes[];
  readonly #depth: number;
  readonly #frame: Frame;
  readonly #evaluation: Evaluation;

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
    this.#body = definition.body;
    this.#options = options;
    this.#out = out;
    this.#depth = depth;
    this.#frame = new Frame(name, definition, data);
    this.#evaluation = new Evaluation(this.#frame, options);
  }

  run(dot: GoValue): void {
    this.#walk(dot, this.#body);
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
        const value = this.#evaluation.pipeline(dot, node.pipeline);
        if (node.pipeline.variables.length > 0) return undefined;
        if (value instanceof GoFunction) this.#frame.fail(node, `can't print ${show(node)} of type ${value.type}`);
        this.#out.push(this.#printed(node.pipeline, printed(value)));
        return undefined;
      }
      case 'if':
      case 'with':
        return this.#frame.scoped(() => {
          const value = this.#evaluation.pipeline(dot, node.pipeline);
          if (isTrue(value)) return this.#walk(node.kind === 'with' ? value : dot, node.body);
          return node.otherwise && this.#walk(dot, node.otherwise);
        });
      case 'range':
        return this.#frame.scoped(() => this.#range(dot, node));
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
      return this.#frame.fail(pipeline, error.message);
    }
  }

  #range(dot: GoValue, node: Extract<Node, { readonly kind: 'if' | 'with' | 'range' }>): Leave {
    const { pipeline } = node;
    const value = this.#evaluation.pipeline(dot, pipeline);
    const count = pipeline.variables.length;
    let any = false;
    for (const [index, element] of this.#elements(node, value)) {
      any = true;
      if (count > 0) this.#frame.setTop(1, element);
      if (count > 1) this.#frame.setTop(2, index);
      const leave = this.#frame.scoped(() => this.#walk(element, node.body));
      if (leave === 'break') break;
    }
    return any || node.otherwise === undefined ? undefined : this.#walk(dot, node.otherwise);
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
    else this.#frame.fail(node.pipeline ?? node, `range can't iterate over ${printed(value)}`);
  }

  #call(dot: GoValue, node: Extract<Node, { readonly kind: 'template' }>): void {
    const definition = this.#templates.get(node.name);
    if (definition === undefined) this.#frame.fail(node, `template "${node.name}" not defined`);
    if (this.#depth >= maxDepth) this.#frame.fail(node, `exceeded maximum template depth (${maxDepth})`);
    const data = node.pipeline && this.#evaluation.pipeline(dot, node.pipeline);
    const depth = this.#depth + 1;
    new Execution(this.#templates, node.name, definition, this.#options, data, this.#out, depth).run(data);
  }
}

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
