import { Fault } from '../model/fault.ts';
import { parseRecord } from '../model/json.ts';
import type { Split } from '../model/policy/split.ts';
import { parsePolicy } from '../model/policy.ts';
import type { Registry } from '../registry/registry.ts';

/** The value of a policy's key; undefined where there is none. */
export async function policyText(registry: Registry, key: string): Promise<string | undefined> {
  const { entries } = await registry.read(key);
  return entries.find((entry) => entry.key === key)?.value;
}

/** The policy as it was, but for its split. Throws Fault `usage` when it cannot have one. */
export function policyWithSplit(policy: string | undefined, split: Split): string {
  const record = parseRecord(policy ?? '{}');
  if (!record.ok) throw new Fault('usage', `the policy cannot be read: ${record.reason}`);
  const text = JSON.stringify({ ...Object.fromEntries(record.value), split: Object.fromEntries(split) });
  const parsed = parsePolicy(text);
  if (!parsed.ok) throw new Fault('usage', `the policy with a split is refused: ${parsed.reason}`);
  return text;
}
