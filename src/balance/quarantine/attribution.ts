import type { InstanceId, ServiceName } from '../../model/name.ts';
import { type ConfigPlace, placeOf } from '../../render/place.ts';
import { policyOf } from '../../render/policies.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { ExplainedProblem } from '../state/state-files.ts';
import { instanceSuspect, type Suspect, serviceSuspect, templateSuspect } from './quarantine.ts';

/** Whom HAProxy points at, and what says so of them. */
export type Attribution = ReadonlyMap<Suspect, string>;

export type BlameRules = {
  /** Whether holding this service, or leaving it out, would change what HAProxy is given. */
  readonly holdable: (service: ServiceName) => boolean;
  /** Whether it has a last good form that is made otherwise: its servers' lines are then good in that. */
  readonly hasForm: (service: ServiceName) => boolean;
  /** The template of the frame is another one than HAProxy took, so that it is behind what it made for a service. */
  readonly frameChanged: boolean;
};

/** Who is behind what HAProxy objects to in this configuration: by the line that it names, else by names that it quotes. */
export function blame(problems: readonly ExplainedProblem[], rendered: Rendered, rules: BlameRules): Attribution {
  const named = new Map<Suspect, string>();
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
      for (const suspect of suspectsAt(one, rendered, rules)) {
        if (!named.has(suspect)) named.set(suspect, reason);
      }
    }
  }
  for (const [service, ids] of instances) {
    const all = rendered.backends.get(service)?.servers.size ?? 0;
    const [reason] = ids.values();
    // A new service of which no server can be served is better left out than answered for with 503.
    if (ids.size === all && all > 1 && reason !== undefined && rules.holdable(service)) {
      if (!named.has(serviceSuspect(service))) named.set(serviceSuspect(service), reason);
    } else for (const [id, why] of ids) named.set(instanceSuspect(service, id), why);
  }
  return named;
}

function suspectsAt(
  place: ConfigPlace,
  rendered: Rendered,
  { holdable, frameChanged }: BlameRules,
): readonly Suspect[] {
  switch (place.kind) {
    case 'frame':
      return [templateSuspect('frame')];
    case 'listener':
      if (frameChanged) return [templateSuspect('frame')];
      return holdable(place.service) ? [serviceSuspect(place.service)] : [];
    case 'service':
    case 'instance':
      return holdable(place.service) ? [serviceSuspect(place.service)] : [];
    case 'policy': {
      const users = [...rendered.backends.values()].filter(({ around }) => policyOf(around) === place.policy);
      // The default policy stands there although nobody may use it.
      if (users.length === 0) return [templateSuspect('policy')];
      return users.filter(({ name }) => holdable(name)).map(({ name }) => serviceSuspect(name));
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
