import type { Option, OptionTable, ValuesOf } from './option.ts';

/** A command as data: what parsing, help and the reference are made from. */
export type CommandDeclaration<Table extends OptionTable, Settings> = {
  readonly name: string;
  readonly summary: string;
  /** The arguments after the flags. */
  readonly operands?: {
    readonly syntax: string;
    readonly description: string;
    /** All there are, where they are few. */
    readonly choices?: readonly string[];
    /** The arguments after the first. */
    readonly more?: readonly { readonly syntax: string; readonly description: string }[];
    /** They are a command line of their own: flags after the first of them are not ours. */
    readonly passThrough?: true;
  };
  readonly options: Table;
  /** Joins the values. Throws a Fault when they contradict each other. */
  readonly assemble: (values: ValuesOf<Table>) => Settings;
};

/** Any command, for those who only list its options. */
export type AnyCommand = Pick<
  CommandDeclaration<Readonly<Record<string, Option>>, never>,
  'name' | 'summary' | 'operands' | 'options'
>;

/** The arguments after the flags, in order. */
export function operandsOf({ operands }: Pick<AnyCommand, 'operands'>) {
  return operands === undefined ? [] : [operands, ...(operands.more ?? [])];
}

export const declareCommand = <const Name extends string, Table extends OptionTable, Settings>(
  declaration: CommandDeclaration<Table, Settings> & { readonly name: Name },
): CommandDeclaration<Table, Settings> & { readonly name: Name } => declaration;
