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

type Declared = {
  /** For help: `HOST:PORT`, `DURATION`. */
  readonly placeholder: string;
  readonly description: string;
  /** All the values there are, where they are few; for completion. */
  readonly choices?: readonly string[];
  /** Neither a variable nor a field: it belongs to one call. */
  readonly flagOnly?: true;
};

/** Always has a value. */
export type Defaulted<T> = Declared & {
  readonly kind: 'defaulted';
  readonly word: Word<T>;
  readonly fallback: Fallback;
};
/** May be left out. */
export type Optional<T> = Declared & { readonly kind: 'optional'; readonly word: Word<T> };
/** `name=value`, any number of them: the flag repeated, the variable with commas, the file with a mapping. */
export type Pairs<T> = Declared & { readonly kind: 'pairs'; readonly word: Word<readonly [string, T]> };
/** Any number of values: the flag repeated or with commas, the variable with commas, the file with a list, one value or a mapping. */
export type Listed<T> = Declared & { readonly kind: 'list'; readonly word: Word<T> };
/** Any number of items that have fields: only the file gives them. */
export type Items<T> = {
  readonly kind: 'items';
  readonly description: string;
  readonly item: GenericSchema<unknown, T>;
};
/** An item, and its place: `/etc/pointsman.yaml:3:5: templates[0]`. */
export type Item<T> = { readonly value: T; readonly where: string; readonly file: string };

/** Must not be seen in a process list, so only a variable gives it. */
export type Secret = Declared & { readonly kind: 'secret' };

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

type Given<O> = Omit<O, 'kind'>;
export const defaulted = <T>(
  option: Omit<Given<Defaulted<T>>, 'fallback'> & { fallback: Fallback | string },
): Defaulted<T> => {
  const { fallback } = option;
  return {
    ...option,
    kind: 'defaulted',
    fallback: typeof fallback === 'string' ? { text: fallback, of: () => fallback } : fallback,
  };
};
export const optional = <T>(option: Given<Optional<T>>): Optional<T> => ({ ...option, kind: 'optional' });
export const pairs = <T>(option: Given<Pairs<T>>): Pairs<T> => ({ ...option, kind: 'pairs' });
export const list = <T>(option: Given<Listed<T>>): Listed<T> => ({ ...option, kind: 'list' });
export const items = <T>(option: Given<Items<T>>): Items<T> => ({ ...option, kind: 'items' });
export const secret = (option: Given<Secret>): Secret => ({ ...option, kind: 'secret' });

export const onOff = (option: Given<Switch>): Switch => ({ ...option, kind: 'switch' });

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
