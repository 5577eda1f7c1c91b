import type { GuardTransition } from '../../src/balance/guard/guard.ts';
import { type Instance, parseInstance } from '../../src/model/instance.ts';
import { type InstanceId, parseInstanceId, parseServiceName, type ServiceName } from '../../src/model/name.ts';
import type { Parsed } from '../../src/model/parsed.ts';

export const guardPolicy = { share: 0.5, minimum: 4, holdMs: 600, windowMs: 10 };

export function must<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

export const web = must(parseServiceName('web'));
export const id = (name: string): InstanceId => must(parseInstanceId(name));
export const instance = (name: string, service: ServiceName = web): Instance =>
  must(parseInstance(service, id(name), '10.0.0.1:80'));

/** A transition in words. */
export function describeTransition(transition: GuardTransition): string {
  switch (transition.kind) {
    case 'guarded':
      return `guard ${transition.instance.id} until ${transition.until}`;
    case 'let-go':
      return `let go of ${transition.id}: ${transition.reason}`;
  }
}
