import type { Bytes } from './bytes.ts';

/** A node of the tree. `at` is the index of its first byte in the source. */
type Positioned = { readonly at: number };

export type NumberNode = Positioned & {
  readonly kind: 'number';
  readonly text: Bytes;
  /** The values that the constant has in the types that can keep it. */
  readonly int: bigint | undefined;
  readonly uint: bigint | undefined;
  readonly float: number | undefined;
  readonly complex: { readonly re: number; readonly im: number } | undefined;
};

type VariableNode = Positioned & {
  readonly kind: 'variable';
  readonly name: string;
  readonly fields: readonly string[];
};

export type Operand =
  | (Positioned & { readonly kind: 'dot' | 'nil' })
  | (Positioned & { readonly kind: 'bool'; readonly value: boolean })
  | (Positioned & { readonly kind: 'string'; readonly source: Bytes; readonly value: Bytes })
  | NumberNode
  | (Positioned & { readonly kind: 'field'; readonly fields: readonly string[] })
  | VariableNode
  | (Positioned & { readonly kind: 'identifier'; readonly name: string })
  /** `(pipeline).A.B`, `function.A` */
  | (Positioned & { readonly kind: 'chain'; readonly of: Operand; readonly fields: readonly string[] })
  | Pipeline;

/** The first operand is the function, field or value; the others are its arguments. */
export type Command = Positioned & { readonly operands: readonly [Operand, ...Operand[]] };

export type Pipeline = Positioned & {
  readonly kind: 'pipeline';
  /** `$a, $b :=`, or `=` where `assigns`. */
  readonly variables: readonly string[];
  readonly assigns: boolean;
  readonly commands: readonly Command[];
};

export type Node =
  | (Positioned & { readonly kind: 'text'; readonly text: Bytes })
  | (Positioned & { readonly kind: 'action'; readonly pipeline: Pipeline })
  | (Positioned & { readonly kind: 'break' | 'continue' })
  | (Positioned & {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipeline: Pipeline;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[] | undefined;
    })
  | (Positioned & { readonly kind: 'template'; readonly name: Bytes; readonly pipeline: Pipeline | undefined });

/** A named template, with the source that its positions belong to. */
export type Definition = { readonly file: string; readonly source: Bytes; readonly body: readonly Node[] };

/** Where a node stands: line from 1, column in bytes from 0, as Go counts them. */
export function placeOf(source: Bytes, at: number): { readonly line: number; readonly column: number } {
  const before = source.slice(0, at);
  return { line: before.split('\n').length, column: at - (before.lastIndexOf('\n') + 1) };
}

/** A part of a pipeline as Go prints it in an error. */
export function show(node: Operand | Command | Node): string {
  if ('operands' in node) {
    const of = (operand: Operand) => (operand.kind === 'pipeline' ? `(${show(operand)})` : show(operand));
    return node.operands.map(of).join(' ');
  }
  switch (node.kind) {
    case 'dot':
      return '.';
    case 'bool':
      return String(node.value);
    case 'string':
      return node.source;
    case 'number':
      return node.text;
    case 'field':
      return node.fields.map((field) => `.${field}`).join('');
    case 'variable':
      return [node.name, ...node.fields].join('.');
    case 'identifier':
      return node.name;
    case 'chain':
      return `${node.of.kind === 'pipeline' ? `(${show(node.of)})` : show(node.of)}.${node.fields.join('.')}`;
    case 'pipeline': {
      const to = node.variables.length > 0 ? `${node.variables.join(', ')} ${node.assigns ? '=' : ':='} ` : '';
      return to + node.commands.map(show).join(' | ');
    }
    case 'text':
      return JSON.stringify(node.text);
    case 'action':
      return `{{${show(node.pipeline)}}}`;
    case 'template':
      return `{{template "${node.name}"${node.pipeline === undefined ? '' : ` ${show(node.pipeline)}`}}}`;
    case 'if':
    case 'with':
    case 'range':
      return `{{${node.kind} ${show(node.pipeline)}}}`;
    default:
      return node.kind;
  }
}
