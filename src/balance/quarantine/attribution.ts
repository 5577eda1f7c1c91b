import { instanceKey, policyKey } from '../../model/key.ts';
import type { InstanceId, ServiceName } from '../../model/name.ts';
import { type ConfigPlace, placeOf } from '../../render/place.ts';
import { policyOf } from '../../render/policies.ts';
import type { Rendered } from '../../render/rendered.ts';
import type { ExplainedProblem } from '../state/validation.ts';
import { type Candidate, templateCandidate } from './quarantine.ts';

/** The candidates that an answer of HAProxy names, each with the reason. */
export type Attribution = ReadonlyMap<Candidate, string>;

export type AttributionRules = {
  /** Whether a quarantine of this service would change the configuration. */
  readonly mayBeQuarantined: (service: ServiceName) => boolean;
  /** Whether the service has a last good form that differs. The lines of its servers are good in that form. */
  readonly hasForm: (service: ServiceName) => boolean;
  /** Whether the frame template changed since HAProxy accepted it. Then it is the reason for what it renders for a service. */
  readonly frameChanged: boolean;
};

/** Finds the candidates of HAProxy's problems with a configuration: by the line that it names, else by the names that it quotes. */
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
      if (one.kind === 'instance' && !(rules.hasForm(one.service) && rules.mayBeQuarantined(one.service))) {
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
    // Without any server a new service would answer 503, so the whole service is left out.
    if (ids.size === all && all > 1 && reason !== undefined && rules.mayBeQuarantined(service)) {
      if (!named.has(policyKey(service))) named.set(policyKey(service), reason);
    } else for (const [id, why] of ids) named.set(instanceKey(service, id), why);
  }
  return named;
}

function candidatesAt(
  place: ConfigPlace,
  rendered: Rendered,
  { mayBeQuarantined, frameChanged }: AttributionRules,
): readonly Candidate[] {
  switch (place.kind) {
    case 'frame':
      return [templateCandidate('frame')];
    case 'listener':
      if (frameChanged) return [templateCandidate('frame')];
      return mayBeQuarantined(place.service) ? [policyKey(place.service)] : [];
    case 'service':
    case 'instance':
      return mayBeQuarantined(place.service) ? [policyKey(place.service)] : [];
    case 'policy': {
      const users = [...rendered.backends.values()].filter(({ section }) => policyOf(section) === place.policy);
      // The default policy is in the configuration even if no service uses it.
      if (users.length === 0) return [templateCandidate('policy')];
      return users.filter(({ name }) => mayBeQuarantined(name)).map(({ name }) => policyKey(name));
    }
  }
}

/** Reads the names in messages such as `'server web/a'`, `Proxy 'web'` and `frontend _tcp-db`, which have no line. */
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
