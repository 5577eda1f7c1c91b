import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isSameValue } from '../apply/same-value.ts';
import type { Declared } from '../declarations/declared.ts';
import { readDeclarations } from '../declarations/read-declarations.ts';
import { exists } from '../fs/exists.ts';
import { describe, errorCode, Fault } from '../model/fault.ts';
import { printable } from '../model/printable.ts';
import { describeProblem, type Problem } from '../model/problem.ts';
import type { Entry } from '../registry/registry.ts';
import { done } from './exit-code.ts';
import { print } from './outputs.ts';
import { ownedBy, type PolicyContext, readPolicy } from './policy-context.ts';
import { policyFileText } from './policy-file.ts';
import { checkPolicy, writeAndTell } from './policy-write.ts';

/** Begins the lines about errors, which are left out when the text is shown again. */
const errorMark = '#! ';

/** How often the editor is opened. A program that is the editor may write something else that is wrong for ever. */
const mostRounds = 20;

/** Next to the file, so that editors complete and check its fields. */
const schemaFile = 'pointsman.schema.json';

const readSchema = async (): Promise<unknown> =>
  (await import('../../docs/pointsman.schema.json', { with: { type: 'json' } })).default;

/** `pointsman policy edit SERVICE`. */
export async function editInEditor(context: PolicyContext): Promise<number> {
  const { registry, service, key } = context;
  // Before a file is made.
  editorOf(context.invocation.env);
  const { entry, owner } = await readPolicy(registry, key);
  const folder = await mkdtemp(join(tmpdir(), 'pointsman-edit-'));
  const path = join(folder, `${service}.yaml`);
  try {
    await writeFile(join(folder, schemaFile), JSON.stringify(await readSchema()));
    await writeFile(path, `${header(context, entry, owner)}${policyFileText(key, entry?.value)}`, { mode: 0o600 });
    const edited = await editUntilRight(context, path, entry);
    if (edited === undefined) {
      await rm(folder, { recursive: true });
      print(`${key}: no change\n`);
      return done;
    }
    const { value, notes } = edited;
    const code = await writeAndTell(context, async () => {
      const revision = await registry.replace(key, value, entry?.revision);
      if (revision === undefined) {
        throw new Fault('conflict', 'somebody else changed it while you edited it: nothing was written', {
          where: key,
        });
      }
      return { before: entry?.value, after: value, revision, impact: [], notes };
    });
    await rm(folder, { recursive: true });
    return code;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (!(await exists(path))) {
      await rm(folder, { recursive: true });
      throw error;
    }
    throw new Fault(error.code, error.message, {
      ...(error.where === undefined ? {} : { where: error.where }),
      hint: `your text is in ${path}; to write it: pointsman policy set ${service} --file ${path}`,
      cause: error,
    });
  }
}

function header(
  { service, key }: PolicyContext,
  entry: Entry | undefined,
  owner: Parameters<typeof ownedBy>[1] | undefined,
): string {
  const state = entry === undefined ? 'it has none yet' : `revision ${entry.revision}`;
  return [
    `# yaml-language-server: $schema=./${schemaFile}`,
    `# The policy of the service ${service} (${state}). It is written when you save and quit.`,
    '# Quit without a change to leave it as it is. docs/policies.md lists the fields.',
    ...(owner === undefined ? [] : [`# ${ownedBy(key, owner)}.`]),
    '',
  ].join('\n');
}

/** Opens the editor until the policy is right. Undefined: it is as it was. Rejects with a Fault. */
async function editUntilRight(
  { invocation, key }: PolicyContext,
  path: string,
  entry: Entry | undefined,
): Promise<{ readonly value: string; readonly notes: readonly string[] } | undefined> {
  let shown = await readFile(path, 'utf8');
  for (let round = 1; ; round += 1) {
    await runEditor(editorOf(invocation.env), path);
    const text = await readEdited(path);
    const isUntouched = withoutErrors(text) === withoutErrors(shown);
    const isEmpty = text.split('\n').every((line) => line.trim() === '' || line.startsWith('#'));
    if (isEmpty) return undefined;
    const { declared, problems: unread } = await readDeclarations([path]);
    const [one] = declared.filter((declaration) => declaration.key === key);
    const alien = declared.find((declaration) => declaration.key !== key);
    const found: Problem[] = [...unread, ...(alien === undefined ? [] : [alienProblem(alien, key)])];
    if (one !== undefined && found.length === 0) {
      if (entry !== undefined && isSameValue(key, entry.value, one.value)) return undefined;
      if (entry === undefined && isUntouched) return undefined;
      const { problems, notes } = await checkPolicy(invocation, [one]);
      if (problems.length === 0) return { value: one.value, notes };
      found.push(...problems);
    } else if (found.length === 0) found.push(missing(path, key));
    const [first] = found;
    if (first !== undefined && (isUntouched || round === mostRounds)) {
      const hint = first.hint === undefined ? '' : ` (${first.hint})`;
      throw new Fault('usage', `nothing was written: ${first.what}${hint}`, { where: first.where });
    }
    shown = withErrors(text, found, path);
    await writeFile(path, shown, { mode: 0o600 });
  }
}

/** The text after the editor. Rejects with Fault `usage` if the editor left no file. */
async function readEdited(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (errorCode(cause) !== 'ENOENT') throw cause;
    throw new Fault('usage', 'the file is gone: nothing was written', { where: path, cause });
  }
}

const alienProblem = ({ key: alien, place }: Declared, key: string): Problem => ({
  where: `${place.file}:${place.line}:${place.column}`,
  ...place,
  what: `it declares ${alien}: only ${key} is edited here`,
  hint: undefined,
});

const missing = (path: string, key: string): Problem => ({
  where: path,
  file: path,
  line: undefined,
  column: undefined,
  what: `it declares no ${key}; to remove the policy, run pointsman policy delete`,
  hint: undefined,
});

/** An editor may have changed the lines about errors: that is no correction. */
const withoutErrors = (text: string): string =>
  text
    .split('\n')
    .filter((line) => !line.startsWith(errorMark))
    .join('\n');

/** The text below what is wrong with it. The lines of the errors are counted without those about them. */
function withErrors(text: string, problems: readonly Problem[], path: string): string {
  const lines = withoutErrors(text).split('\n');
  const removed = text.split('\n').length - lines.length;
  const shift = problems.length + 1 - removed;
  const about = problems.map((problem) => {
    const where = problem.line === undefined ? '' : `line ${problem.line + shift}, column ${problem.column ?? 1}: `;
    const said = describeProblem({ ...problem, where: problem.file === path ? '' : problem.where });
    return `${errorMark}${where}${printable(said)}`;
  });
  return [`${errorMark}Nothing was written yet. Correct this, or quit without a change:`, ...about, ...lines].join(
    '\n',
  );
}

/** Throws Fault `usage` where vi would wait for keys that nobody can press. */
function editorOf(env: Readonly<Record<string, string | undefined>>): string {
  const named = env['VISUAL'] || env['EDITOR'];
  if (named || process.stdin.isTTY) return named || 'vi';
  throw new Fault('usage', 'standard input is no terminal, and no editor is set: nothing was written', {
    where: 'EDITOR',
  });
}

/** Rejects with a Fault when the editor cannot be started, or fails. */
function runEditor(editor: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // As git does: the variable may have flags, and quotes.
    const child = spawn('sh', ['-c', `${editor} "$1"`, editor, path], { stdio: 'inherit', cwd: dirname(path) });
    const fail = (why: string) =>
      reject(new Fault('usage', `the editor ${editor} ${why}: nothing was written`, { where: 'EDITOR' }));
    child.once('error', (error) => fail(`cannot be started: ${describe(error)}`));
    child.once('exit', (code, signal) => {
      if (code === 0) resolve();
      else fail(signal === null ? `ended with ${code}` : `was ended by ${signal}`);
    });
  });
}
