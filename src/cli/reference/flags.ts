import type { AnyCommand } from '../../settings/command.ts';
import { fieldName, type Option } from '../../settings/option.ts';
import { configOption } from '../../settings/read-settings.ts';

/** A flag as completion and manual want it. */
export type Flag = {
  /** `--log-level` */
  readonly name: string;
  readonly description: string;
  /** Undefined for a flag without a value. */
  readonly value: FlagValue | undefined;
  readonly option: Option;
  readonly key: string;
};

/** The kind of a flag's value, as far as a shell can complete it. */
type FlagValue = {
  readonly placeholder: string;
  readonly kind: 'choice' | 'file' | 'folder' | 'text';
  readonly choices: readonly string[];
};

/** Everything that may be written after the command's name, but for its operands and `--help`. */
export function flagsOf({ options }: AnyCommand): readonly Flag[] {
  const own = Object.entries(options);
  const all = own.length === 0 ? [] : [...own, ...Object.entries(configOption)];
  return all.flatMap(([key, option]) =>
    option.kind === 'secret' || option.kind === 'items'
      ? []
      : [{ name: `--${fieldName(key)}`, description: option.description, value: valueTaken(option), option, key }],
  );
}

function valueTaken(option: Exclude<Option, { kind: 'secret' | 'items' }>): FlagValue | undefined {
  if (option.kind === 'switch') return undefined;
  const { placeholder, choices = [] } = option;
  if (choices.length > 0) return { placeholder, kind: 'choice', choices };
  const kind = placeholder === 'FILE' ? 'file' : placeholder === 'FOLDER' ? 'folder' : 'text';
  return { placeholder, kind, choices };
}
