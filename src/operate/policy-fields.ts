import { parseRecord } from '../model/json.ts';
import { didYouMean } from '../model/nearest.ts';
import { accepted, type Parsed, quote, rejected } from '../model/parsed.ts';
import { policyFieldNames } from '../model/policy.ts';

/** `check.path=/health` sets a field, `check-` removes one. */
export type FieldEdit = { readonly path: readonly string[]; readonly value: unknown };

/** Reads one operand. A value is JSON, or else the text itself: `maxconn=100`, `hosts=["a","b"]`, `check.path=/health`. */
export function parseFieldEdit(text: string): Parsed<FieldEdit> {
  const equals = text.indexOf('=');
  if (equals === -1 && text.endsWith('-')) return pathOf(text.slice(0, -1), undefined);
  if (equals === -1) return rejected(`${quote(text)} is neither FIELD=VALUE nor FIELD-, which removes the field`);
  return pathOf(text.slice(0, equals), readValue(text.slice(equals + 1)));
}

function pathOf(text: string, value: unknown): Parsed<FieldEdit> {
  const path = text.split('.');
  const [first = ''] = path;
  if (path.includes('')) return rejected(`${quote(text)} is not the path of a field, such as check.path`);
  if (!policyFieldNames.includes(first)) {
    const hint = didYouMean(first, policyFieldNames);
    return rejected(`${quote(first)} is not a field of a policy${hint === undefined ? '' : ` (${hint})`}`);
  }
  return accepted({ path, value });
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The policy with these edits, as JSON. `policy` undefined: there is none yet. */
export function withFields(policy: string | undefined, edits: readonly FieldEdit[]): Parsed<string> {
  const record = parseRecord(policy ?? '{}');
  if (!record.ok) return rejected(`the policy in the registry cannot be read: ${record.reason}`);
  let fields: Readonly<Record<string, unknown>> = Object.fromEntries(record.value);
  for (const edit of edits) {
    const edited = withField(fields, edit, []);
    if (!edited.ok) return edited;
    fields = edited.value;
  }
  return accepted(JSON.stringify(fields));
}

function withField(
  fields: Readonly<Record<string, unknown>>,
  { path: [name = '', ...rest], value }: FieldEdit,
  above: readonly string[],
): Parsed<Readonly<Record<string, unknown>>> {
  const { [name]: before, ...others } = fields;
  if (rest.length === 0) {
    if (value === undefined) return accepted(others);
    // Where it was, so that a diff of the text is small.
    return accepted(before === undefined ? { ...others, [name]: value } : { ...fields, [name]: value });
  }
  const inner = before ?? {};
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner))
    return rejected(`${[...above, name].join('.')} is no object, so it has no field ${quote(rest[0] ?? '')}`);
  const edited = withField({ ...inner }, { path: rest, value }, [...above, name]);
  if (!edited.ok) return edited;
  // An object that lost its last field is not written: {} may mean something else.
  const isEmpty = Object.keys(edited.value).length === 0 && value === undefined;
  return accepted(isEmpty ? others : { ...fields, [name]: edited.value });
}
