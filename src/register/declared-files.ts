import { formatAddress } from '../model/address.ts';
import type { Declared } from './registration.ts';

/** The last good declaration of each file, by its name. */
export type DeclaredFiles = ReadonlyMap<string, Declared>;

/** An instance, and the file that declares it. */
export type PlacedInstance = { readonly file: string; readonly declared: Declared };

/** A file that declares what another one does. */
export type Doubled = { readonly file: string; readonly name: string; readonly other: string };

/**
 * The instances that the files declare, by `service/id`. If two declare the same one, the file that had it keeps it; else
 * the first by name has it.
 */
export function placeInstances(
  files: DeclaredFiles,
  before: ReadonlyMap<string, PlacedInstance>,
): { readonly placed: ReadonlyMap<string, PlacedInstance>; readonly doubled: readonly Doubled[] } {
  const placed = new Map<string, PlacedInstance>();
  const doubled: Doubled[] = [];
  const inOrder = [...files].sort(([one], [other]) => (one < other ? -1 : 1));
  const had = ([file, declared]: readonly [string, Declared]) => before.get(nameOf(declared))?.file === file;
  for (const [file, declared] of [...inOrder.filter(had), ...inOrder.filter((entry) => !had(entry))]) {
    const name = nameOf(declared);
    const other = placed.get(name);
    if (other === undefined) placed.set(name, { file, declared });
    else doubled.push({ file, name, other: other.file });
  }
  return { placed, doubled };
}

/** A change of one instance. */
export type DeclarationChange =
  | { readonly kind: 'begin' | 'update'; readonly name: string; readonly declared: Declared }
  | { readonly kind: 'retire'; readonly name: string };

/** From the instances that are announced to those that should be. */
export function changesBetween(
  before: ReadonlyMap<string, PlacedInstance>,
  after: ReadonlyMap<string, PlacedInstance>,
): readonly DeclarationChange[] {
  const changes: DeclarationChange[] = [];
  for (const name of before.keys()) if (!after.has(name)) changes.push({ kind: 'retire', name });
  for (const [name, { declared }] of after) {
    const former = before.get(name)?.declared;
    if (former === undefined) changes.push({ kind: 'begin', name, declared });
    else if (!sameDeclaration(former, declared)) changes.push({ kind: 'update', name, declared });
  }
  return changes;
}

const nameOf = ({ instance }: Declared): string => `${instance.service}/${instance.id}`;

export const sameDeclaration = (one: Declared, other: Declared): boolean => textOf(one) === textOf(other);

const textOf = ({ instance, check, rhythm, unhealthy }: Declared): string =>
  JSON.stringify([{ ...instance, address: formatAddress(instance.address) }, check, rhythm, unhealthy]);
