import type { GenericSchema } from 'valibot';

/** A word that a setting's text is read into; a refusal's message fits after the setting's name. */
export type Word<T> = GenericSchema<string, T>;

/** Facts about the machine; defaults may depend on them. */
export type Machine = {
  readonly hostname: string;
  /** The user's home folder; undefined when there is none. */
  readonly home: string | undefined;
  /** $XDG_STATE_HOME, where a user's programs keep their state. */
  readonly stateHome: string | undefined;
  readonly root: boolean;
};

/** Used when no source gives a value. `text` is for help and reference. */
export type Fallback = { readonly text: string; readonly of: (machine: Machine) => string };

type Described = {
  /** For help: `HOST:PORT`, `DURATION`. */
  readonly placeholder: string;
  readonly description: string;
  /** All the values there are, where they are few; for completion. */
  readonly choices?: readonly string[];
  /** Neither a variable nor a field: it belongs to one call. */
  readonly flagOnly?: true;
  /** Several values would seem to be a list, so the flag may be given only once. Of other settings, the last value counts. */
  readonly onlyOnce?: true;
  /** The value of a flag that is given without one. */
  readonly bare?: string;
};

/** Always has a value. */
export type Defaulted<T> = Described & {
  readonly kind: 'defaulted';
  readonly word: Word<T>;
  readonly fallback: Fallback;
};
/** May be left out. */
export type Optional<T> = Described & { readonly kind: 'optional'; readonly word: Word<T> };
/** `name=value`, any number of them: the flag repeated, the variable with commas, the file with a mapping. */
export type Pairs<T> = Described & { readonly kind: 'pairs'; readonly word: Word<readonly [string, T]> };
/** Any number of values: the flag repeated or with commas, the variable with commas, the file with a list, one value or a mapping. */
export type Listed<T> = Described & { readonly kind: 'list'; readonly word: Word<T> };
/** Any number of items that have fields: only the file gives them. */
export type Items<T> = {
  readonly kind: 'items';
  readonly description: string;
  readonly item: GenericSchema<unknown, T>;
};
/** An item, and its place: `/etc/pointsman.yaml:3:5: templates[0]`. */
export type Item<T> = { readonly value: T; readonly where: string; readonly file: string };

/** Must not be seen in a process list, so only a variable gives it. */
export type Secret = Described & { readonly kind: 'secret' };

/** A flag without a value, for one call: given or not. */
export type Switch = { readonly kind: 'switch'; readonly description: string };

/** One setting, declared once: parsing, help and the reference all come from it. Its name is its key in the table. */
export type Option =
  | Defaulted<unknown>
  | Optional<unknown>
  | Pairs<unknown>
  | Listed<unknown>
  | Items<unknown>
  | Secret
  | Switch;

export type OptionTable = Readonly<Record<string, Option>>;

type ValueOf<O extends Option> =
  O extends Defaulted<infer T>
    ? T
    : O extends Optional<infer T>
      ? T | undefined
      : O extends Pairs<infer T>
        ? Readonly<Record<string, T>>
        : O extends Listed<infer T>
          ? readonly T[]
          : O extends Items<infer T>
            ? readonly Item<T>[]
            : O extends Switch
              ? boolean
              : string | undefined;

export type ValuesOf<Table extends OptionTable> = { readonly [Key in keyof Table]: ValueOf<Table[Key]> };

/** The word of a setting that has a few values, and all of them. */
export type Choice<T> = { readonly word: Word<T>; readonly choices: readonly string[] };

const valued = <T>(placeholder: string, word: Word<T> | Choice<T>, description: string) =>
  'choices' in word ? { placeholder, description, ...word } : { placeholder, description, word };
type Limits = { readonly flagOnly?: true; readonly onlyOnce?: true; readonly bare?: string };

export const defaulted = <T>(
  placeholder: string,
  word: Word<T> | Choice<T>,
  fallback: string | Fallback,
  description: string,
  limits?: Limits,
): Defaulted<T> => ({
  ...valued(placeholder, word, description),
  ...limits,
  kind: 'defaulted',
  fallback: typeof fallback === 'string' ? { text: fallback, of: () => fallback } : fallback,
});
export const optional = <T>(
  placeholder: string,
  word: Word<T> | Choice<T>,
  description: string,
  limits?: Limits,
): Optional<T> => ({ ...valued(placeholder, word, description), ...limits, kind: 'optional' });
export const pairs = <T>(placeholder: string, word: Word<readonly [string, T]>, description: string): Pairs<T> => ({
  kind: 'pairs',
  placeholder,
  word,
  description,
});
export const list = <T>(placeholder: string, word: Word<T>, description: string): Listed<T> => ({
  kind: 'list',
  placeholder,
  word,
  description,
});
export const secret = (placeholder: string, description: string): Secret => ({
  kind: 'secret',
  placeholder,
  description,
});
export const items = <T>(item: GenericSchema<unknown, T>, description: string): Items<T> => ({
  kind: 'items',
  item,
  description,
});
export const onOff = (description: string): Switch => ({ kind: 'switch', description });

const isOfOneCall = (option: Option): boolean =>
  option.kind === 'switch' || ('flagOnly' in option && option.flagOnly === true);
/** Whether a variable may give it. */
export const hasVariable = (option: Option): boolean => option.kind !== 'items' && !isOfOneCall(option);
/** Whether the file may give it. */
export const hasField = (option: Option): boolean => option.kind !== 'secret' && !isOfOneCall(option);

/** `reloadInterval` as its flag (without `--`) and its field in the file: `reload-interval`. */
export const fieldName = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
/** `reloadInterval` as its variable: `POINTSMAN_RELOAD_INTERVAL`. */
export const variableName = (key: string): string => `POINTSMAN_${fieldName(key).replaceAll('-', '_').toUpperCase()}`;
