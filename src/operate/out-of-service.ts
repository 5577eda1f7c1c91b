import type { Catalog } from '../catalog/catalog.ts';
import { overrideOf, readiness } from '../catalog/overrides.ts';
import type { Instance } from '../model/instance.ts';
import type { ServiceName } from '../model/name.ts';
import { byWhom, effectName, type Override, pauseOf, takesOut } from '../model/override.ts';
import { untilWhen } from './impact.ts';

/** A service that answers no new requests although its instances may be well, and why. */
export type OutOfService = { readonly service: ServiceName; readonly reason: string };

const mostReasons = 3;

/** The services that operators, or their own registrations, keep from answering new requests. `wall`: ms since 1970. */
export function outOfService(catalog: Catalog, wall: number): readonly OutOfService[] {
  const overrideText = (override: Override) =>
    `${effectName(override.effect)}${byWhom(override)}, ${untilWhen(override, wall)}`;
  return [...catalog.services.values()].flatMap(({ name: service, instances: served, registered, suspended }) => {
    const whole = catalog.overrides.get(service)?.get('*');
    if (whole !== undefined && pauseOf(whole) !== undefined) {
      return [{ service, reason: `its requests wait: ${overrideText(whole)}` }];
    }
    const { instances, ready } = readiness(served);
    if (ready > 0 || (instances === 0 && suspended === undefined)) return [];
    const why = ({ id, state }: Instance): string => {
      const override = overrideOf(catalog.overrides, service, id);
      if (override !== undefined && takesOut(override)) return overrideText(override);
      return state === 'ready' ? 'the registration has the weight 0' : `the registration says ${state}`;
    };
    const reasons = instances === 0 && whole !== undefined ? [overrideText(whole)] : [...registered.values()].map(why);
    const different = [...new Set(reasons)];
    const more = different.length > mostReasons ? `; and ${different.length - mostReasons} more reasons` : '';
    const text = different.slice(0, mostReasons).join('; ');
    return [{ service, reason: `no instance takes new requests (0 of ${instances}): ${text}${more}` }];
  });
}
