import * as v from 'valibot';
import type { Address } from '../model/address.ts';
import type { OverrideTarget } from '../model/override.ts';
import { type Override, parseOverride } from '../model/override.ts';
import { nameOf, parseTarget } from '../operate/target.ts';
import type { Registry } from '../registry/registry.ts';
import { type RegistrySettings, rootOf } from '../settings/registry.ts';
import { askAdmin, findBalancers } from './balancers.ts';

/** An override that the registry does not have any more and that a balancer holds. */
type HeldOverride = { readonly target: OverrideTarget; readonly override: Override };

type HeldOverrides = {
  readonly held: readonly HeldOverride[];
  /** Balancers that cannot be asked from here. */
  readonly untold: readonly string[];
};

const status = v.object({
  // An older balancer does not say which of them are held.
  overrides: v.optional(
    v.array(v.looseObject({ service: v.string(), instance: v.string(), held: v.optional(v.boolean()) })),
    [],
  ),
});

/** The overrides that balancers hold, as far as they can be asked. Rejects with a Fault when the registry cannot be read. */
export async function readHeldOverrides(
  registry: Registry,
  settings: { readonly admin: Address; readonly registry: RegistrySettings },
): Promise<HeldOverrides> {
  const { entries, cluster } = await registry.read('balancers/');
  const tree = { cluster, root: rootOf(settings.registry) };
  const { balancers } = await findBalancers(entries, settings.admin, tree);
  const held = new Map<string, HeldOverride>();
  const untold: string[] = [];
  await Promise.all(
    balancers.map(async ({ id, admin }) => {
      const answer = 'at' in admin ? await askAdmin(admin.at, '/status').catch(() => undefined) : undefined;
      const said = v.safeParse(status, answer);
      if (!said.success) {
        untold.push(id);
        return;
      }
      for (const one of said.output.overrides.flatMap(heldIn)) held.set(nameOf(one.target), one);
    }),
  );
  return { held: [...held.values()], untold: untold.sort() };
}

function heldIn(told: v.InferOutput<typeof status>['overrides'][number]): readonly HeldOverride[] {
  if (told.held !== true) return [];
  const { kind, weight, who, why, at, until } = told;
  const override = parseOverride(JSON.stringify({ kind, weight, who, why, at, until }));
  return override.ok ? [{ target: parseTarget(`${told.service}/${told.instance}`), override: override.value }] : [];
}
