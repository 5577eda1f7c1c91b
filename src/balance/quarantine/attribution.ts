import type { InstanceId, ServiceName } from '../../model/name.ts';
import { type ConfigPlace, placeOf } from '../../render/place.ts';
import { policyOf } from '../../render/policies.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { ExplainedProblem } from '../state/validation.ts';
import { type Candidate, instanceCandidate, serviceCandidate, templateCandidate } from './quarantine.ts';

/** Whom HAProxy points at, and what says so of them. */
export type Attribution = ReadonlyMap<Candidate, string>;

export type AttributionRules = {
  /** Whether holding this service, or leaving it out, would change what HAProxy is given. */
  readonly holdable: (service: ServiceName) => boolean;
  /** Whether it has a last good form that is made otherwise: its servers' lines are then good in that. */
  readonly hasForm: (service: ServiceName) => boolean;
  /** The template of the frame is another one than HAProxy took, so that it is behind what it made for a service. */
  readonly frameChanged: boolean;
};

/** Who is behind what HAProxy objects to in this configuration: by the line that it names, else by names that it quotes. */
export function attribute(
  problems: readonly ExplainedProblem[],
  rendered: Rendered,
  rules: AttributionRules,
): Attribution {
  const named = new Map<Candidate, string>();
  const instances = new Map<ServiceName, Map<InstanceId, string>>();
  for (const problem of problems) {
    const { reason } = problem;
    const place = problem.line === undefined ? undefined : placeOf(rendered, problem.line);
    for (const one of place === undefined ? placesNamed(problem.text, rendered) : [place]) {
      if (one.kind === 'instance' && !(rules.hasForm(one.service) && rules.holdable(one.service))) {
        const known = instances.get(one.service) ?? new Map<InstanceId, string>();
        instances.set(one.service, known.set(one.id, known.get(one.id) ?? reason));
        continue;
      }
      for (const candidate of candidatesAt(one, rendered, rules)) {
        if (!named.has(candidate)) named.set(candidate, reason);
      }
    }
  }
  for (const [service, ids] of instances) {
    const all = rendered.backends.get(service)?.servers.size ?? 0;
    const [reason] = ids.values();
    // A new service of which no server can be served is better left out than answered for with 503.
    if (ids.size === all && all > 1 && reason !== undefined && rules.holdable(service)) {
      if (!named.has(serviceCandidate(service))) named.set(serviceCandidate(service), reason);
    } else for (const [id, why] of ids) named.set(instanceCandidate(service, id), why);
  }
  return named;
}

function candidatesAt(
  place: ConfigPlace,
  rendered: Rendered,
  { holdable, frameChanged }: AttributionRules,
): readonly Candidate[] {
  switch (place.kind) {
    case 'frame':
      return [templateCandidate('frame')];
    case 'listener':
      if (frameChanged) return [templateCandidate('frame')];
      return holdable(place.service) ? [serviceCandidate(place.service)] : [];
    case 'service':
    case 'instance':
      return holdable(place.service) ? [serviceCandidate(place.service)] : [];
    case 'policy': {
      const users = [...rendered.backends.values()].filter(({ section }) => policyOf(section) === place.policy);
      // The default policy stands there although nobody may use it.
      if (users.length === 0) return [templateCandidate('policy')];
      return users.filter(({ name }) => holdable(name)).map(({ name }) => serviceCandidate(name));
    }
  }
}

/** `'server web/a'`, `Proxy 'web'`, `frontend _tcp-db`: what HAProxy finds after parsing, and when it starts. */
function placesNamed(text: string, { backends, policies }: Rendered): readonly ConfigPlace[] {
  const places: ConfigPlace[] = [];
  const words = [...text.matchAll(/'(?:server |backend |proxy )?([^'\s]+)'|\b(?:frontend|proxy|backend) ([\w.:-]+)/gi)];
  for (const [, quoted, bare] of words) {
    const word = (quoted ?? bare ?? '').replace(/:$/, '');
    const [first = '', second] = word.split('/');
    const backend = [...backends.values()].find(({ name }) => name === first || `_tcp-${name}` === first);
    if (backend !== undefined) {
      const id = [...backend.servers.keys()].find((one) => one === second);
      if (id !== undefined) places.push({ kind: 'instance', service: backend.name, id });
      else if (second === undefined) places.push({ kind: 'service', service: backend.name });
    } else if (policies.has(word)) places.push({ kind: 'policy', policy: word });
  }
  return places;
}
