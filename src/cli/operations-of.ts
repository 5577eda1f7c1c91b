import type { BalanceHealth } from '../balance/health.ts';
import { type Override, type OverrideTarget, parseOverride } from '../model/override.ts';
import { Operations } from '../operate/operations.ts';
import type { Registry } from '../registry/registry.ts';

/** The operations of the admin port, on the registry that the balancer follows. */
export const operationsOf = (registry: Registry, health: () => BalanceHealth): Operations =>
  new Operations({
    registry,
    findHeld: (target) => ({ override: heldOverride(health().overrides, target), untold: [] }),
    describeHeld: (service) => describeHeld(health(), service),
    wall: () => new Date(),
  });

function heldOverride(overrides: BalanceHealth['overrides'], { service, scope }: OverrideTarget): Override | undefined {
  const found = overrides.find((one) => one.held && one.service === service && one.instance === scope);
  if (found === undefined) return undefined;
  const { service: _, instance, endsInMs, held, ...fields } = found;
  const override = parseOverride(JSON.stringify(fields));
  return override.ok ? override.value : undefined;
}

function describeHeld({ guarded, held }: BalanceHealth, service: string): string | undefined {
  const instances = guarded.find((one) => one.service === service)?.instances.length ?? 0;
  const entries = held.flatMap(({ keys }) => keys).filter((key) => key.split('/')[1] === service).length;
  const parts = [
    ...(instances > 0 ? [`${instances} instances that were lost at once`] : []),
    ...(entries > 0 ? [`${entries} entries that the registry does not have any more`] : []),
  ];
  return parts.length === 0 ? undefined : parts.join(' and ');
}
