/** The part of JSON Schema (draft 7, which every editor knows) that pointsman writes. */
export type JsonSchema = {
  readonly [keyword: string]: unknown;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
};

/** What a page of the documentation says about a field. */
export type FieldText = { readonly description: string; readonly examples?: readonly unknown[] };

/** Finds the text for a field by its path in an entry, without the places in lists: `['routes', 'hosts']`. */
export type Describe = (path: readonly string[]) => FieldText | undefined;
