import { Fault } from '../model/fault.ts';
import { parseRecord } from '../model/json.ts';
import type { Split } from '../model/policy/split.ts';
import { parsePolicy } from '../model/policy.ts';
import type { Revision } from '../model/revision.ts';
import type { Registry } from '../registry/registry.ts';

/** The new text of a policy: undefined removes its key, `leave` changes nothing. */
export type PolicyEdit = (policy: string | undefined) => string | undefined | typeof leave;
export const leave = Symbol('leave');

const attempts = 10;

/** The value of a policy's key; undefined where there is none. */
export async function policyText(registry: Registry, key: string): Promise<string | undefined> {
  return (await readPolicy(registry, key))?.value;
}

/**
 * Changes a policy. When somebody else changes it at the same time, it is read and edited again, so that no change is lost.
 * Resolves with the revision, or undefined when it was left as it is.
 */
export async function editPolicy(registry: Registry, key: string, edit: PolicyEdit): Promise<Revision | undefined> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const now = await readPolicy(registry, key);
    const edited = edit(now?.value);
    if (edited === leave || (edited === undefined && now === undefined)) return undefined;
    const written = await registry.replace(key, edited, now?.revision);
    if (written !== undefined) return written;
  }
  throw new Fault('deadline', `another program changed it during each of ${attempts} attempts`, { where: key });
}

/** The policy as it was, but for its split. Throws Fault `usage` when it cannot have one. */
export function policyWithSplit(policy: string | undefined, split: Split): string {
  return policyWith(policy, Object.fromEntries(split)) ?? '{}';
}

/** The field `split` of a policy as it is written there; undefined where there is none. Throws Fault `usage`. */
export function splitText(policy: string | undefined): string | undefined {
  const split = fieldsOf(policy)['split'];
  return split === undefined ? undefined : JSON.stringify(split);
}

/** The policy with the split that `splitText` gave; undefined when it would have no field at all. */
export function policyWithSplitText(policy: string | undefined, split: string | undefined): string | undefined {
  return policyWith(policy, split === undefined ? undefined : JSON.parse(split));
}

/** The field `canary` of a policy as it is written there; undefined where there is none. Throws Fault `usage`. */
export function canaryText(policy: string | undefined): string | undefined {
  const canary = fieldsOf(policy)['canary'];
  return canary === undefined ? undefined : JSON.stringify(canary);
}

/** The policy with the canary that `canaryText` gave; undefined when it would have no field at all. */
export function policyWithCanaryText(policy: string | undefined, canary: string | undefined): string | undefined {
  const { canary: _, ...others } = fieldsOf(policy);
  const fields = canary === undefined ? others : { ...others, canary: JSON.parse(canary) };
  return Object.keys(fields).length === 0 ? undefined : checkedText(fields);
}

function policyWith(policy: string | undefined, split: unknown): string | undefined {
  const { split: _, ...others } = fieldsOf(policy);
  if (split === undefined && Object.keys(others).length === 0) return undefined;
  return checkedText(split === undefined ? others : { ...others, split });
}

function checkedText(fields: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(fields);
  const parsed = parsePolicy(text);
  if (!parsed.ok) throw new Fault('usage', `the policy with a split is refused: ${parsed.reason}`);
  return text;
}

function fieldsOf(policy: string | undefined): Readonly<Record<string, unknown>> {
  const record = parseRecord(policy ?? '{}');
  if (!record.ok) throw new Fault('usage', `the policy cannot be read: ${record.reason}`);
  return Object.fromEntries(record.value);
}

async function readPolicy(registry: Registry, key: string) {
  const { entries } = await registry.read(key);
  return entries.find((entry) => entry.key === key);
}
