import { diffArrays } from 'diff';

/** A field whose value differs; undefined: the field is not there. */
export type FieldDiff = { readonly path: string; readonly before: unknown; readonly after: unknown };

/**
 * The fields in which two JSON values differ, in order: `check.path`, `hosts[1]`. Undefined is a value that is not there. Fields that are
 * new or gone are listed one level deep: a new policy has a line for each of its fields.
 */
export function fieldDiffs(before: unknown, after: unknown): readonly FieldDiff[] {
  return differences('', before, after);
}

function differences(path: string, before: unknown, after: unknown): readonly FieldDiff[] {
  if (same(before, after)) return [];
  const [was, is] = [before ?? emptyOf(path), after ?? emptyOf(path)];
  if (isObject(was) && isObject(is)) {
    const names = [...new Set([...Object.keys(was), ...Object.keys(is)])];
    return names.flatMap((name) =>
      differences(path === '' ? nameOf(name) : `${path}.${nameOf(name)}`, was[name], is[name]),
    );
  }
  if (Array.isArray(was) && Array.isArray(is)) return elements(path, was, is);
  return [{ path, before, after }];
}

/** A whole value that is not there has no fields. */
const emptyOf = (path: string): unknown => (path === '' ? {} : undefined);

/** Lists of the same length differ element by element; otherwise elements are new or gone. */
function elements(path: string, before: readonly unknown[], after: readonly unknown[]): readonly FieldDiff[] {
  if (before.length === after.length) return before.flatMap((one, i) => differences(`${path}[${i}]`, one, after[i]));
  const found: FieldDiff[] = [];
  let [was, is] = [0, 0];
  for (const { added, removed, value } of diffArrays([...before], [...after], { comparator: same })) {
    for (const element of value) {
      if (removed) found.push({ path: `${path}[${was}]`, before: element, after: undefined });
      if (added) found.push({ path: `${path}[${is}]`, before: undefined, after: element });
      if (!added) was += 1;
      if (!removed) is += 1;
    }
  }
  return found;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether both mean the same. The order of names makes no difference. */
function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((element, i) => same(element, other[i]));
  if (!isObject(one) || !isObject(other)) return false;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length && names.every((name) => name in other && same(one[name], other[name]))
  );
}

/** A name as a path has it: one with a dot or a bracket is quoted. */
const nameOf = (name: string): string => (/^[^.[\]"\s]+$/.test(name) ? name : JSON.stringify(name));
