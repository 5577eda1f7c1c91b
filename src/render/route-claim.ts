import type { Since } from '../catalog/service.ts';
import type { ServiceName } from '../model/name.ts';
import type { MatchText } from '../model/policy/match.ts';
import type { RouteTarget } from '../model/route-target.ts';

/** One host pattern and one path prefix (with a closing slash, and with `?<id>` if it has a match) that lead to a service. */
export type RouteClaim = {
  readonly service: ServiceName;
  readonly target: RouteTarget;
  readonly host: string;
  readonly path: string;
  readonly match: MatchText | undefined;
  /** As it counts over other services. */
  readonly priority: number;
  /** As declared: it counts among the routes of the service itself. */
  readonly own: number;
  /** Its host is the service's own name, `<service>` or `<service>.*`. */
  readonly isOwnName: boolean;
  readonly since: Since | undefined;
};

/** Whether a claim counts for less over other services than it says. */
export const isCapped = ({ own, priority }: RouteClaim): boolean => own > priority;
