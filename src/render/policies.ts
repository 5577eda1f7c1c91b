import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Map as PersistentMap } from 'immutable';
import { Fault } from '../model/fault.ts';
import type { Policy } from '../model/policy.ts';
import type { BaseSettings } from './base-view.ts';
import { policyView } from './policy-view.ts';
import type { Rendered } from './rendered.ts';
import type { Section, Template } from './template.ts';

/**
 * A policy as HAProxy has it: a `defaults` section that the backends of all services with this policy inherit from. Its
 * name is made from its text, so equal policies are one section, and a section never changes: what can be said of a name
 * once is true for ever. The name has 128 bits of a hash, so nobody finds a policy with the name of another one. The socket of
 * its table has 72 bits, for the path of a socket has to be short; HAProxy refuses two sections with one socket.
 */
export type PolicySection = { readonly name: string; readonly text: string };

/** Renders policies, each distinct one once. Throws Fault `template`. */
export function policyRenderer(template: Template, settings: BaseSettings): (policy: Policy) => PolicySection {
  const known = new Map<string, PolicySection>();
  return (policy) => {
    const view = policyView(policy, settings);
    const key = JSON.stringify(view);
    const found = known.get(key);
    if (found !== undefined) return found;
    const { peersFolder, ratesMap, routesMap } = settings;
    const maps = { ratesMap, routesMap };
    const nameless = template.render({ ...view, policy: 'policy-', peersSocket: `${peersFolder}/`, ...maps });
    const digest = createHash('sha256').update(nameless).digest();
    const name = `policy-${digest.toString('hex').slice(0, 32)}`;
    const peersSocket = join(peersFolder, digest.toString('base64url').slice(0, 12));
    const text = template.render({ ...view, policy: name, peersSocket, ...maps });
    if (!text.startsWith(`defaults ${name} `)) {
      throw new Fault('template', `it rendered ${JSON.stringify(text.split('\n')[0])}`, {
        where: `${template.file}:1:1`,
        hint: 'it must begin: defaults {{policy}} from _base',
      });
    }
    const section = { name, text: text.endsWith('\n') ? text : `${text}\n` };
    known.set(key, section);
    return section;
  };
}

/** The policy that a backend inherits from, by its opening line. */
export function policyOf({ before }: Section): string | undefined {
  return /^backend\s+\S+\s+from\s+(\S+)\s*$/m.exec(before)?.[1];
}

/** The mode of a policy's backends: its own, or that of the `defaults` section of the base configuration that it inherits from. */
export function modeOf(rendered: Pick<Rendered, 'base' | 'policies'>, policy: string): 'http' | 'tcp' {
  const section = rendered.policies.get(policy) ?? '';
  const parent = /^defaults\s+\S+\s+from\s+(\S+)/.exec(section)?.[1];
  const sections = rendered.base.before.split(/^(?=\S)/m);
  const inherited = sections.find((text) => /^defaults\s+(\S+)/.exec(text)?.[1] === parent) ?? '';
  const mode = modeIn(section) ?? modeIn(inherited);
  return mode === 'http' ? 'http' : 'tcp';
}

const modeIn = (section: string): string | undefined => /^\s+mode\s+(\S+)/m.exec(section)?.[1];

/** Whether a backend says nothing but its name, its policy and its servers, so that HAProxy could make it while it runs. */
export function isThin({ before, after }: Section): boolean {
  return (before + after).split('\n').filter((line) => /^\s*[^\s#]/.test(line)).length === 1;
}

/** Those that are named by one of the backends, or that `standing` keeps for services to come. */
export function policiesInUse(
  policies: PersistentMap<string, string>,
  backends: Iterable<{ readonly section: Section }>,
  standing: ReadonlySet<string>,
): PersistentMap<string, string> {
  const used = new Set(standing);
  for (const { section } of backends) {
    const name = policyOf(section);
    if (name !== undefined) used.add(name);
  }
  return policies.filter((_, name) => used.has(name));
}
