import type { Bytes } from './bytes.ts';
import type { Command, Node, Operand, Pipeline } from './tree.ts';

/** A call of a function in a template; `literal`: its first argument, where it is a string constant. */
export type Call = { readonly name: string; readonly literal: Bytes | undefined };

/** Every call of a function in these nodes, also within arguments. */
export function* callsIn(nodes: readonly Node[]): Iterable<Call> {
  for (const node of nodes) {
    if ('pipeline' in node && node.pipeline !== undefined) yield* callsOf(node.pipeline);
    if ('body' in node) {
      yield* callsIn(node.body);
      yield* callsIn(node.otherwise ?? []);
    }
  }
}

function* callsOf(operand: Operand, args: readonly Operand[] = []): Iterable<Call> {
  switch (operand.kind) {
    case 'identifier': {
      const [first] = args;
      yield { name: operand.name, literal: first?.kind === 'string' ? first.value : undefined };
      return;
    }
    case 'chain':
      yield* callsOf(operand.of, args);
      return;
    case 'pipeline':
      for (const command of operand.commands) yield* callsOfCommand(command);
      return;
    default:
  }
}

function* callsOfCommand({ operands: [first, ...args] }: Command): Iterable<Call> {
  yield* callsOf(first, args);
  for (const arg of args) yield* callsOf(arg);
}

/** Whether a pipeline is a constant of the template itself. */
export function isConstant({ commands }: Pipeline): boolean {
  const [first, ...more] = commands;
  const kind = first?.operands[0].kind;
  return more.length === 0 && (kind === 'string' || kind === 'number' || kind === 'bool');
}
