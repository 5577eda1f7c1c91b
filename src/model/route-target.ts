import { type Challenge, isKeyAuthorization } from './acme/challenge.ts';
import { parseServiceName, type ServiceName } from './name.ts';
import { accepted, type Brand, type Parsed, quote, rejected } from './parsed.ts';
import { isMatchText, type MatchText } from './policy/match.ts';

/**
 * A value in the route map. The value of a route is its service, `web`, or the service with the number of segments that
 * HAProxy removes from the path, `web/2`. A route with a match has the match as well, `web/0/m:GET`, and its key ends with
 * `?<id>`, which no request has. The key without that ending has the ids of all its matches in their order and what is there
 * when none of them fits, `?/web/2/<id>,<id>`; `?/web/-/<id>` if nothing is, where the service is that of the first match.
 * The value of a service is its state. The value of a key about versions is the service with counts or a name, `web/=3:3`.
 * The value of a challenge's route is pointsman's own backend with the answer, `_acme/<key authorization>`.
 */
export type RouteTarget = Brand<string, 'RouteTarget'>;

/** The target of a route to this service that strips so many segments of the path. */
export function routeTarget(service: ServiceName, stripped = 0): RouteTarget {
  return (stripped === 0 ? service : `${service}/${stripped}`) as RouteTarget;
}

/** The target of a route with a match. */
export const matchTarget = (service: ServiceName, stripped: number, match: MatchText): RouteTarget =>
  `${service}/${stripped}/${match}` as RouteTarget;

/** The target of a host and a path with matches: their ids in order, and what is there without them. */
export function choiceTarget(
  fallback: RouteTarget | undefined,
  first: ServiceName,
  ids: readonly string[],
): RouteTarget {
  const [service = first, stripped = fallback === undefined ? '-' : '0'] = fallback?.split('/') ?? [];
  return `?/${service}/${stripped}/${ids.join()}` as RouteTarget;
}

/** Reads what one of the functions here wrote. */
export function parseRouteTarget(text: string): Parsed<RouteTarget> {
  if (isState(text) || isAnswer(text) || text === acmeService) return accepted(text as RouteTarget);
  const versioned = /^([^/]+)\/=[A-Za-z0-9._:+-]{1,127}$/.exec(text);
  if (versioned?.[1] !== undefined && parseServiceName(versioned[1]).ok) return accepted(text as RouteTarget);
  const isChoice = text.startsWith('?/');
  const [name = '', stripped, last, ...rest] = (isChoice ? text.slice(2) : text).split('/');
  const service = parseServiceName(name);
  if (!service.ok) return service;
  const isRoute = last === undefined && (stripped === undefined || /^[1-9]$/.test(stripped));
  const isMatch = last !== undefined && /^[0-9]$/.test(stripped ?? '') && isMatchText(last);
  const isList = last !== undefined && /^[0-9-]$/.test(stripped ?? '') && /^[\w-]{16}(,[\w-]{16})*$/.test(last);
  return rest.length === 0 && (isChoice ? isList : isRoute || isMatch)
    ? accepted(text as RouteTarget)
    : rejected(`${quote(text)} is not a route's target: a service, or a service/segments`);
}

/** The service that a route leads to. */
export function serviceOfTarget(target: RouteTarget): ServiceName {
  return (target.startsWith('?/') ? target.slice(2) : target).split('/', 1)[0] as ServiceName;
}

/** The match of a route's target; undefined if it has none. */
export const matchOfTarget = (target: RouteTarget): MatchText | undefined =>
  target.startsWith('?/') ? undefined : (target.split('/')[2] as MatchText | undefined);

/** Whether a key of the route map leads nowhere without the matches that it names. */
export const isChoiceOnly = (target: RouteTarget): boolean => /^\?\/[^/]+\/-\//.test(target);

/** Whether this is what `formatState` writes. */
const isState = (text: string): boolean => /^(maintenance|pause\/[1-9][0-9]{0,8})$/.test(text);

/** The backend that answers the challenges of an ACME authority (HTTP-01). No service has this name. */
export const acmeService = '_acme' as ServiceName;

/** The key of a challenge in the route map: requests for it go to no service. */
export const challengeRoute = (token: string, { host }: Pick<Challenge, 'host'>): string =>
  `${host}/.well-known/acme-challenge/${token}/`;

/** The target of a challenge's route, with the answer: where a route has the number of segments to remove. */
export const challengeTarget = ({ answer }: Pick<Challenge, 'answer'>): RouteTarget =>
  `${acmeService}/${answer}` as RouteTarget;

/** Whether a target is the answer to a challenge. */
export const isChallengeTarget = (target: RouteTarget | undefined): boolean =>
  target?.startsWith(`${acmeService}/`) === true;

/** The target of a key of the route map that says no more than that it is there. */
export const acmeTarget = acmeService as string as RouteTarget;

const certificatePrefix = 'CERTIFICATE:';

/** The key of the route map for a name in a certificate that HAProxy serves. As with states, no request is led by it. */
export const certifiedKey = (name: string): string => `${certificatePrefix}${name}`;

/** Whether a key of the route map is about a certificate. */
export const isCertifiedKey = (key: string): boolean => key.startsWith(certificatePrefix);

/** The name in the certificate that a key of the route map is about. */
export const certifiedName = (key: string): string => key.slice(certificatePrefix.length);

const isAnswer = (text: string): boolean => {
  const [service, answer = '', ...rest] = text.split('/');
  return service === acmeService && rest.length === 0 && isKeyAuthorization(answer);
};

/** The reason why a service that runs gets no requests. */
export type ServiceState =
  /** They are answered with a page that says so. */
  | { readonly kind: 'maintenance' }
  /** They wait until the pause ends, each at most so long. */
  | { readonly kind: 'pause'; readonly mostMs: number };

const prefix = 'SERVICE:';

/** The key of a service's state in the route map. No request has a host in capitals there, so none is led by it. */
export const stateKey = (service: ServiceName): string => `${prefix}${service}`;

/** Whether a key of the route map holds a state and no route. */
export const isStateKey = (key: string): boolean => key.startsWith(prefix);

const versionPrefix = 'VERSION:';

/** A key of the route map that says which instances have a version. As with states, no request is led by it. */
export const versionKey = (service: ServiceName, about: string): string => `${versionPrefix}${service}/${about}`;

/** The value of such a key: two counts, an instance or a version. */
export const versionTarget = (service: ServiceName, value: string): RouteTarget =>
  `${service}/=${value}` as RouteTarget;

/** Whether a key of the route map is about a version. */
export const isVersionKey = (key: string): boolean => key.startsWith(versionPrefix);

/** Whether a key of the route map leads requests to a service. */
export const isRouteKey = (key: string): boolean => !isStateKey(key) && !isVersionKey(key) && !isCertifiedKey(key);

/** The service whose state a key of the route map holds. */
export const serviceOfState = (key: string): ServiceName => key.slice(prefix.length) as ServiceName;

/** The state as the route map says it. */
export function formatState(state: ServiceState): RouteTarget {
  return (state.kind === 'maintenance' ? 'maintenance' : `pause/${state.mostMs}`) as RouteTarget;
}
