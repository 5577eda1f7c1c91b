import { Fault } from '../model/fault.ts';
import type { FileDeclaration } from '../settings/file-declaration.ts';
import { type FileTemplate, loadFileTemplate } from './file-template.ts';
import { findOwner } from './owners.ts';
import type { FileJob } from './place-file.ts';

/** A file that can be made: its template parsed, its owner found. */
export type PreparedFile = { readonly job: FileJob; readonly template: FileTemplate };

export const loadTemplateOf = (file: FileDeclaration): Promise<FileTemplate> => loadFileTemplate(file.src, file.escape);

/** Reads all templates and finds all owners. Rejects with an AggregateError of all Faults. */
export async function prepareFiles(declarations: readonly FileDeclaration[]): Promise<readonly PreparedFile[]> {
  const outcomes = await Promise.all(declarations.map(prepareFile));
  const faults = outcomes.flatMap((outcome) => ('faults' in outcome ? outcome.faults : []));
  if (faults.length > 0) throw new AggregateError(faults);
  return outcomes.flatMap((outcome) => ('faults' in outcome ? [] : [outcome]));
}

async function prepareFile(declared: FileDeclaration): Promise<PreparedFile | { readonly faults: readonly Fault[] }> {
  const { mode, owner, where } = declared;
  const [template, ids] = await Promise.all([
    loadTemplateOf(declared).catch(faultOf),
    owner === undefined ? {} : findOwner(owner, where).catch(faultOf),
  ]);
  if (template instanceof Fault || ids instanceof Fault) {
    return { faults: [template, ids].filter((part) => part instanceof Fault) };
  }
  return { job: { ...declared, ownership: { mode, ...ids } }, template };
}

function faultOf(error: unknown): Fault {
  if (error instanceof Fault) return error;
  throw error;
}
