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

/** Templates in templates, as many as Go allows. */
const maxDepth = 100_000;

/** One call of a template. */
type Call = { readonly frame: Frame; readonly evaluation: Evaluation; readonly depth: number };

/** What a range goes on with; `visible`: the variables of each turn. */
type Loop = {
  readonly elements: Iterator<readonly [GoValue, GoValue]>;
  readonly variables: number;
  readonly visible: number;
};

/** Nodes that are being executed, and how far. */
type Block = {
  readonly call: Call;
  readonly nodes: readonly Node[];
  /** The next of them. */
  at: number;
  dot: GoValue;
  /** How many variables there are after it. */
  readonly visible: number;
  /** Undefined: the nodes are executed once. */
  readonly loop: Loop | undefined;
};

type Branching = Extract<Node, { readonly kind: 'if' | 'with' | 'range' }>;

/**
 * Executes a template and those that it calls. Blocks within blocks are kept in a list: the stack of JavaScript ends after some hundred
 * calls of templates.
 */
class Execution {
  readonly #templates: Templates;
  readonly #options: ExecuteOptions;
  readonly #out: Bytes[] = [];
  readonly #blocks: Block[] = [];

  constructor(templates: Templates, options: ExecuteOptions) {
    this.#templates = templates;
    this.#options = options;
  }

  run(name: Bytes, definition: Definition, data: GoValue): Bytes {
    this.#enter(name, definition, data, 0);
    for (let block = this.#blocks.at(-1); block !== undefined; block = this.#blocks.at(-1)) {
      const node = block.nodes[block.at];
      block.at += 1;
      if (node === undefined) this.#end(block);
      else this.#node(block, node);
    }
    return this.#out.join('');
  }

  #enter(name: Bytes, definition: Definition, data: GoValue, depth: number): void {
    const frame = new Frame(name, definition, data);
    const call = { frame, evaluation: new Evaluation(frame, this.#options), depth };
    this.#blocks.push({ call, nodes: definition.body, at: 0, dot: data, visible: frame.visible, loop: undefined });
  }

  #node(block: Block, node: Node): void {
    const { call, dot } = block;
    switch (node.kind) {
      case 'text':
        this.#out.push(node.text);
        return;
      case 'action': {
        const value = call.evaluation.pipeline(dot, node.pipeline);
        if (node.pipeline.variables.length > 0) return;
        if (value instanceof GoFunction) call.frame.fail(node, `can't print ${show(node)} of type ${value.type}`);
        this.#out.push(this.#printed(call.frame, node.pipeline, printed(value)));
        return;
      }
      case 'if':
      case 'with': {
        const { visible } = call.frame;
        const value = call.evaluation.pipeline(dot, node.pipeline);
        if (isTrue(value)) this.#begin(call, node.body, node.kind === 'with' ? value : dot, visible);
        else this.#begin(call, node.otherwise ?? [], dot, visible);
        return;
      }
      case 'range':
        this.#range(block, node);
        return;
      case 'template':
        this.#call(block, node);
        return;
      default:
        this.#leave(node.kind);
    }
  }

  #begin(call: Call, nodes: readonly Node[], dot: GoValue, visible: number): void {
    this.#blocks.push({ call, nodes, at: 0, dot, visible, loop: undefined });
  }

  /** Goes on with the next turn of a range, or with what is around the block. */
  #end(block: Block): void {
    const { call, loop, visible } = block;
    if (loop !== undefined) {
      call.frame.forget(loop.visible);
      const next = loop.elements.next();
      if (next.done !== true) {
        this.#turn(block, loop, next.value);
        return;
      }
    }
    this.#blocks.pop();
    call.frame.forget(visible);
  }

  #turn(block: Block, { variables }: Loop, [index, element]: readonly [GoValue, GoValue]): void {
    if (variables > 0) block.call.frame.setTop(1, element);
    if (variables > 1) block.call.frame.setTop(2, index);
    block.at = 0;
    block.dot = element;
  }

  /** Leaves the blocks within the nearest range, and the range itself after `break`. */
  #leave(how: 'break' | 'continue'): void {
    for (let block = this.#blocks.at(-1); block !== undefined; block = this.#blocks.at(-1)) {
      if (block.loop !== undefined && how === 'continue') {
        block.at = block.nodes.length;
        return;
      }
      this.#blocks.pop();
      block.call.frame.forget(block.visible);
      if (block.loop !== undefined) return;
    }
  }

  #printed(frame: Frame, pipeline: Pipeline, text: Bytes): Bytes {
    const { print } = this.#options;
    if (print === undefined) return text;
    try {
      return print(text, pipeline);
    } catch (error) {
      if (!(error instanceof GoError)) throw error;
      return frame.fail(pipeline, error.message);
    }
  }

  #range({ call, dot }: Block, node: Branching): void {
    const { frame, evaluation } = call;
    const outside = frame.visible;
    const value = evaluation.pipeline(dot, node.pipeline);
    const elements = elementsOf(frame, node, value)[Symbol.iterator]();
    const first = elements.next();
    if (first.done === true) {
      this.#begin(call, node.otherwise ?? [], dot, outside);
      return;
    }
    const loop = { elements, variables: node.pipeline.variables.length, visible: frame.visible };
    const block = { call, nodes: node.body, at: 0, dot, visible: outside, loop };
    this.#turn(block, loop, first.value);
    this.#blocks.push(block);
  }

  #call({ call, dot }: Block, node: Extract<Node, { readonly kind: 'template' }>): void {
    const { evaluation, depth } = call;
    const frame: Frame = call.frame;
    const definition = this.#templates.get(node.name);
    if (definition === undefined) frame.fail(node, `template "${node.name}" not defined`);
    if (depth >= maxDepth) frame.fail(node, `exceeded maximum template depth (${maxDepth})`);
    const data = node.pipeline && evaluation.pipeline(dot, node.pipeline);
    this.#enter(node.name, definition, data, depth + 1);
  }
}

function* elementsOf(frame: Frame, node: Branching, value: GoValue): Iterable<readonly [GoValue, GoValue]> {
  if (value === undefined || value === null) return;
  const length = integerOf(value);
  if (length !== undefined) for (let i = 0n; i < length; i++) yield [i, i];
  else if (value instanceof GoList) for (const [i, item] of value.items.entries()) yield [BigInt(i), item];
  else if (value instanceof GoMap) yield* value.sorted();
  else frame.fail(node.pipeline, `range can't iterate over ${printed(value)}`);
}

/**
 * The bytes that a template makes of data. Throws TemplateError, as Go's Execute gives an error; what was made until
 * then is lost.
 */
export function execute(templates: Templates, name: Bytes, data: GoValue, options: ExecuteOptions): Bytes {
  const definition = templates.get(name);
  if (definition === undefined) throw new Error(`there is no template ${name}`);
  return new Execution(templates, options).run(name, definition, data);
}
