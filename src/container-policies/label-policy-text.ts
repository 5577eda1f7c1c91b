import type { Container } from '../engine/container.ts';
import { labelGroups } from '../engine/label-groups.ts';
import { Fault } from '../model/fault.ts';
import { parseRecord } from '../model/json.ts';
import { parseServiceName } from '../model/name.ts';
import { policyProblems } from '../model/policy.ts';
import type { AskedPolicy } from './choose-policies.ts';

/** The labels of one service of a container that are about its policy. */
type PolicyLabels = {
  /** `pointsman`, or `pointsman.web`. */
  readonly prefix: string;
  /** `shop.example.com,www.example.com` */
  readonly hosts: string | undefined;
  /** JSON. */
  readonly policy: string | undefined;
};

/** The JSON of the policy that the labels ask for; undefined without such labels. Returns what is wrong, naming the label. */
export function policyOfLabels(
  container: string,
  { prefix, hosts, policy }: PolicyLabels,
): string | undefined | readonly Fault[] {
  if (hosts === undefined && policy === undefined) return undefined;
  const fault = (field: string, message: string, hint?: string) =>
    new Fault('settings', message, { where: `container ${container}: label ${prefix}.${field}`, hint });
  const record = parseRecord(policy ?? '{}');
  if (!record.ok) return [fault('policy', record.reason)];
  const fields = new Map(record.value);
  if (hosts !== undefined) {
    if (fields.has('hosts')) return [fault('hosts', `${prefix}.policy has "hosts" already`, 'remove one of the two')];
    fields.set(
      'hosts',
      hosts
        .split(',')
        .map((host) => host.trim())
        .filter((host) => host !== ''),
    );
  }
  const text = JSON.stringify(Object.fromEntries(fields));
  const problems = policyProblems(text).map(({ path, reason }) =>
    path[0] === 'hosts' && hosts !== undefined
      ? fault('hosts', reason)
      : fault(
          'policy',
          path.length === 0 || reason.startsWith(`${path.join('.')}: `) ? reason : `${path.join('.')}: ${reason}`,
        ),
  );
  return problems.length === 0 ? text : problems;
}

/** What a container asks for its services, and the mistakes in the labels. */
export function readPolicyLabels({ name, labels, createdAt }: Pick<Container, 'name' | 'labels' | 'createdAt'>): {
  readonly asked: readonly AskedPolicy[];
  readonly problems: readonly Fault[];
} {
  const asked: AskedPolicy[] = [];
  const problems: Fault[] = [];
  for (const { name: group, service: text, fields } of labelGroups(labels)) {
    const prefix = group === undefined ? 'pointsman' : `pointsman.${group}`;
    const policy = policyOfLabels(name, { prefix, hosts: fields.get('hosts'), policy: fields.get('policy') });
    const service = parseServiceName(text);
    // The agent reports a service without a valid name for its instance.
    if (policy === undefined || !service.ok) continue;
    const valid = typeof policy === 'string';
    if (!valid) problems.push(...policy);
    asked.push({
      ...{ service: service.value, container: name, created: createdAt },
      policy: valid ? policy : undefined,
    });
  }
  return { asked, problems };
}
