import { parse, TomlError } from 'smol-toml';
import { describe, Fault } from '../../model/fault.ts';

export type TomlTable = Readonly<Record<string, unknown>>;

const isTable = (value: unknown): value is TomlTable =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

/** Parses TOML. Throws Fault `settings` with the place. */
export function parseToml(path: string, text: string): TomlTable {
  try {
    // Whole numbers are of type bigint, so that 1.0 is not one.
    return parse(text.replace(/^\ufeff/, ''), { integersAsBigInt: true });
  } catch (cause) {
    const where = cause instanceof TomlError ? `${path}:${cause.line}:${cause.column}` : path;
    const [reason = ''] = describe(cause).split('\n');
    throw new Fault('settings', `it is not TOML: ${reason.replace(/^Invalid TOML document: /, '')}`, { where, cause });
  }
}

/** The parser of TOML does not tell where a field stands. */
function lineOf(text: string, field: string): number {
  const name = field.replaceAll(/[^A-Za-z0-9_-]/g, '.');
  const line = text.split('\n').findIndex((one) => new RegExp(`^\\s*\\[?\\s*"?${name}"?\\s*[\\]=]`, 'i').test(one));
  return line === -1 ? 1 : line + 1;
}

/** The fields of a table by the names that are wanted: a name is found as it is, or else in capitals and small letters. */
export class Fields {
  readonly #path: string;
  readonly #text: string;
  readonly #table: TomlTable;
  readonly #taken = new Set<string>();
  readonly faults: Fault[] = [];

  constructor(path: string, text: string, table: TomlTable) {
    this.#path = path;
    this.#text = text;
    this.#table = table;
  }

  where(field: string): string {
    return `${this.#path}:${lineOf(this.#text, field)}: ${field}`;
  }

  fail(field: string, what: string, hint?: string): undefined {
    this.faults.push(new Fault('settings', what, { where: this.where(field), hint }));
  }

  table(name: string): TomlTable | undefined {
    return this.#take(name, 'a table', isTable);
  }

  text(name: string): string | undefined {
    return this.#take(name, 'a text', (value) => typeof value === 'string');
  }

  integer(name: string): number | undefined {
    const whole = this.#take(name, 'a whole number', (value) => typeof value === 'bigint');
    return whole === undefined ? undefined : Number(whole);
  }

  flag(name: string): boolean | undefined {
    return this.#take(name, 'true or false', (value) => typeof value === 'boolean');
  }

  texts(name: string): readonly string[] | undefined {
    const isTexts = (value: unknown): value is readonly string[] =>
      Array.isArray(value) && value.every((one) => typeof one === 'string');
    return this.#take(name, 'a list of texts', isTexts);
  }

  /** The fields that nobody asked for. */
  unknown(): readonly string[] {
    return Object.keys(this.#table).filter((name) => !this.#taken.has(name));
  }

  #take<T>(name: string, what: string, is: (value: unknown) => value is T): T | undefined {
    const keys = Object.keys(this.#table);
    const key = keys.includes(name) ? name : keys.find((one) => one.toLowerCase() === name);
    if (key === undefined) return undefined;
    this.#taken.add(key);
    const value = this.#table[key];
    return is(value) ? value : this.fail(key, `it is not ${what}`);
  }
}
