import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, errorCode, Fault } from '../model/fault.ts';
import { type Problem, problemOf } from '../model/problem.ts';
import { folderFaults } from '../render/load-templates.ts';
import { parseTemplate, type TemplateRole, templateFiles } from '../render/template.ts';

// A template with more mistakes than these shows the others at the next check.
const mostProblems = 50;

/** Everything that is wrong with the templates in a folder of own ones. */
export async function folderProblems(folder: string): Promise<readonly Problem[]> {
  const roles: readonly TemplateRole[] = ['frame', 'policy', 'backend', 'server'];
  const problems = await Promise.all(
    roles.map(async (role) => {
      const file = join(folder, templateFiles[role]);
      const text = await readFile(file, 'utf8').catch((error: unknown) => error);
      if (typeof text === 'string') return templateProblems(role, file, text);
      if (errorCode(text) === 'ENOENT') return [];
      return [problemOf(new Fault('template', `it cannot be read: ${describe(text)}`, { where: file }))];
    }),
  );
  return [...(await folderFaults(folder)).map(problemOf), ...problems.flat()];
}

/**
 * Everything that is wrong with one template. A parser stops at the first mistake: the tag with it is taken out, and the
 * rest is read again.
 */
export function templateProblems(role: TemplateRole, file: string, text: string): readonly Problem[] {
  const problems: Problem[] = [];
  let left = text;
  while (problems.length < mostProblems) {
    try {
      parseTemplate(role, file, left);
      break;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const problem = problemOf(error);
      const without = withoutTag(left, problem);
      // An error of the whole may come from a part that was taken out.
      if (without !== undefined || problems.length === 0) problems.push(problem);
      if (without === undefined) break;
      left = without;
    }
  }
  return problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

/** The text with the tag at this place blanked, and the end of its section with it. */
function withoutTag(text: string, { line, column }: Problem): string | undefined {
  if (line === undefined || column === undefined) return undefined;
  const lines = text.split('\n');
  const index = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
  const tag = /^(\{\{\{?)\s*([#^&>=]?)\s*([^\s}]*)[^}]*\}\}\}?/.exec(text.slice(index));
  if (tag === null) return undefined;
  const blank = (from: number, length: number, all: string) =>
    all.slice(0, from) + all.slice(from, from + length).replace(/[^\n]/g, ' ') + all.slice(from + length);
  const rest = blank(index, tag[0].length, text);
  if (tag[2] !== '#' && tag[2] !== '^') return rest;
  const name = (tag[3] ?? '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const end = new RegExp(`\\{\\{\\s*/\\s*${name}\\s*\\}\\}`).exec(rest.slice(index));
  return end === null ? undefined : blank(index + end.index, end[0].length, rest);
}
