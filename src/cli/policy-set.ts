import { isSameValue } from '../apply/same-value.ts';
import type { Declared } from '../declarations/declared.ts';
import { entryOfFile } from '../declarations/entry-file.ts';
import { readDeclarations } from '../declarations/read-declarations.ts';
import { Fault } from '../model/fault.ts';
import { problemOf } from '../model/problem.ts';
import { type FieldEdit, parseFieldEdit, withFields } from '../operate/policy-fields.ts';
import type { PolicyContext } from './policy-context.ts';
import { readPolicy } from './policy-context.ts';
import { checkPolicy, refuse, type WrittenPolicy, writeAndTell } from './policy-write.ts';
import { readStandardInput } from './standard-input.ts';

const attempts = 10;

/** `pointsman policy set SERVICE FIELD=VALUE…`, `--file FILE` or `-`. */
export async function setPolicy(context: PolicyContext, fields: readonly string[]): Promise<number> {
  try {
    return await checkAndSet(context, fields);
  } catch (error) {
    // Nothing was written, so nothing was printed.
    if (!context.settings.json || !(error instanceof Fault) || error.code !== 'usage') throw error;
    return refuse(context, [problemOf(error)]);
  }
}

async function checkAndSet(context: PolicyContext, fields: readonly string[]): Promise<number> {
  const { invocation, registry, key, settings } = context;
  const file = fields.length === 1 && fields[0] === '-' ? '-' : settings.file;
  const whole = file === undefined ? undefined : await readPolicyFile(file, key);
  const edits = whole === undefined ? readEdits(fields) : [];
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { entry } = await readPolicy(registry, key);
    const wanted = whole ?? entryOfFile({ file: key, key, text: edited(entry?.value, edits, key) });
    const { problems, notes } = await checkPolicy(invocation, [wanted]);
    if (problems.length > 0) return refuse(context, problems);
    const same = entry !== undefined && isSameValue(key, entry.value, wanted.value);
    const revision = same ? undefined : await registry.replace(key, wanted.value, entry?.revision);
    // Somebody else changed it meanwhile: their change is read, and these fields are set in it.
    if (!same && revision === undefined) continue;
    const written: WrittenPolicy = { before: entry?.value, after: wanted.value, revision, impact: [], notes };
    return writeAndTell(context, async () => written);
  }
  throw new Fault('conflict', `another program changed it during each of ${attempts} attempts`, { where: key });
}

function readEdits(fields: readonly string[]): readonly FieldEdit[] {
  return fields.map((text) => {
    const edit = parseFieldEdit(text);
    if (!edit.ok) throw new Fault('usage', edit.reason);
    return edit.value;
  });
}

function edited(policy: string | undefined, edits: readonly FieldEdit[], key: string): string {
  const text = withFields(policy, edits);
  if (!text.ok) throw new Fault('usage', text.reason, { where: key });
  return text.value;
}

/** The policy that a file holds: JSON, or a declaration of this one service. Rejects with Fault `usage`. */
async function readPolicyFile(file: string, key: string): Promise<Declared> {
  let input: Buffer | undefined;
  if (file === '-') {
    input = await readStandardInput();
    const text = input.toString();
    if (text.trimStart().startsWith('{')) return entryOfFile({ file: 'stdin', key, text: text.trimEnd() });
  }
  const { declared, problems } = await readDeclarations([file], async () => input ?? Buffer.alloc(0));
  const [problem] = problems;
  if (problem !== undefined)
    throw new Fault('usage', problem.what, {
      where: problem.where,
      ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    });
  const [one, second] = declared;
  if (one === undefined) throw new Fault('usage', 'it declares nothing', { where: file });
  if (second !== undefined) {
    const hint = 'pointsman apply writes files with more';
    throw new Fault('usage', `it declares more than ${key}`, { where: file, hint });
  }
  if (one.key === key) return one;
  // A file web.json has no name of a service in it.
  if (one.place.line === 1 && one.value.trimStart().startsWith('{') && file.endsWith('.json')) return { ...one, key };
  throw new Fault('usage', `it declares ${one.key}, and not ${key}`, { where: file });
}
