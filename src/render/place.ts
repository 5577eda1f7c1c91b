import type { InstanceId, ServiceName } from '../model/name.ts';
import type { Rendered } from './rendered.ts';
import type { Section } from './template.ts';

/** Where a line of haproxy.cfg comes from. */
export type ConfigPlace =
  | { readonly kind: 'frame' }
  /** In the base configuration, for one `tcp` service. */
  | { readonly kind: 'listener'; readonly service: ServiceName }
  | { readonly kind: 'policy'; readonly policy: string }
  | { readonly kind: 'service'; readonly service: ServiceName }
  | { readonly kind: 'instance'; readonly service: ServiceName; readonly id: InstanceId };

const listener = /^frontend\s+_tcp-(\S+)/;

/** Tells where a line (counted from 1) of the file that `configWriter` makes of this comes from. */
export function placeOf(rendered: Rendered, line: number): ConfigPlace | undefined {
  const { base, policies, backends } = rendered;
  let left = line;
  const within = (text: string): boolean => {
    const lines = linesIn(text);
    if (left <= lines) return true;
    left -= lines;
    return false;
  };
  if (line < 1) return undefined;
  if (within(base.before)) return baseLine(rendered, base.before, left);
  for (const policy of [...policies.keys()].sort()) {
    if (within(policies.get(policy) ?? '')) return { kind: 'policy', policy };
  }
  for (const service of [...backends.keys()].sort()) {
    const backend = backends.get(service);
    if (backend === undefined) continue;
    if (within(backend.section.before)) return { kind: 'service', service };
    const ids = [...backend.servers.keys()].sort();
    const id = ids[left - 1];
    if (id !== undefined) return { kind: 'instance', service, id };
    left -= ids.length;
    if (within(backend.section.after)) return { kind: 'service', service };
  }
  return within(base.after) ? baseLine(rendered, base.after, left) : undefined;
}

/** The `tcp` services whose parts of the base configuration differ; none if something else differs as well. */
export function listenersThatDiffer(one: Section, other: Section): readonly ServiceName[] {
  const [before, after] = [sectionsOf(one), sectionsOf(other)];
  if (before.rest !== after.rest) return [];
  const names = new Set([...before.listeners.keys(), ...after.listeners.keys()]);
  return [...names].filter((name) => before.listeners.get(name) !== after.listeners.get(name)).sort();
}

function sectionsOf({ before, after }: Section): { rest: string; listeners: ReadonlyMap<ServiceName, string> } {
  let rest = '';
  const listeners = new Map<ServiceName, string>();
  for (const section of `${before}\n${after}`.split(/^(?=[a-z])/m)) {
    const name = listener.exec(section)?.[1];
    if (name === undefined) rest += section;
    else listeners.set(name as ServiceName, section);
  }
  return { rest, listeners };
}

function linesIn(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines;
}

function baseLine({ backends }: Rendered, text: string, line: number): ConfigPlace {
  const opening = text
    .split('\n')
    .slice(0, line)
    .findLast((one) => /^[a-z]/.test(one));
  const name = listener.exec(opening ?? '')?.[1];
  const service = [...backends.keys()].find((one) => one === name);
  return service === undefined ? { kind: 'frame' } : { kind: 'listener', service };
}
