import { Map as PersistentMap } from 'immutable';
import { type InstanceId, parseInstanceId, parseServiceName, type ServiceName } from '../model/name.ts';
import { noRevision } from '../model/revision.ts';
import { parseRouteTarget, type RouteTarget } from '../model/route-target.ts';
import type { Rendered, RenderedBackend } from '../render/rendered.ts';
import { RouteMap } from '../render/route-map.ts';
import { splitMark } from './config-mark.ts';

/**
 * Reads a haproxy.cfg and a route map that pointsman wrote before, so that a new process knows what HAProxy was given and
 * needs no reload to begin. Whatever is neither a policy's section nor a backend is the base configuration.
 */
export function parseConfig(text: string, routesMap: string): Rendered {
  const { config } = splitMark(text);
  let base = '';
  const policies = new Map<string, string>();
  let policy: string | undefined;
  const backends = PersistentMap<ServiceName, RenderedBackend>().asMutable();
  let open:
    | { name: ServiceName; before: string; indent: string; after: string; servers: Map<InstanceId, string> }
    | undefined;
  const close = () => {
    if (open === undefined) return;
    const { name, before, indent, after, servers } = open;
    backends.set(name, { name, section: { before, indent, after }, servers: PersistentMap(servers) });
    open = undefined;
  };
  for (const line of config.split(/(?<=\n)/)) {
    const section = /^([a-z][a-z-]*)(?:\s+(\S+))?/.exec(line);
    if (section) {
      close();
      const [, kind, title = ''] = section;
      if (kind === 'defaults') policy = title.startsWith('policy-') ? title : undefined;
      else if (policy === undefined || !title.startsWith(`_${policy}-`)) policy = undefined;
      const name = kind === 'backend' ? parseServiceName(title) : undefined;
      if (name?.ok) open = { name: name.value, before: '', indent: '', after: '', servers: new Map() };
    }
    if (policy !== undefined) {
      policies.set(policy, (policies.get(policy) ?? '') + line);
      continue;
    }
    if (open === undefined) {
      base += line;
      continue;
    }
    const server = /^(\s+)(server\s+(\S+)\s.*\S)\s*$/.exec(line);
    const id = server === null ? undefined : parseInstanceId(server[3] ?? '');
    if (server !== null && id?.ok) {
      open.indent = server[1] ?? '';
      open.servers.set(id.value, server[2] ?? '');
    } else if (open.servers.size === 0) open.before += line;
    else open.after += line;
  }
  close();
  return {
    revision: noRevision,
    base: { before: base, indent: '', after: '' },
    policies: PersistentMap(policies),
    backends: backends.asImmutable(),
    routes: RouteMap.of(parseRoutes(routesMap)),
  };
}

function* parseRoutes(text: string): Generator<[string, RouteTarget]> {
  for (const line of text.split('\n')) {
    const [route, value] = line.split(' ');
    const target = parseRouteTarget(value ?? '');
    if (route !== undefined && target.ok) yield [route, target.value];
  }
}
