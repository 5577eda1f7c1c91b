import { overrideEnd } from '../catalog/overrides.ts';
import { serviceOfKey } from '../model/key.ts';
import { parseServiceName, type ServiceName } from '../model/name.ts';
import { effectName, overrideFields } from '../model/override.ts';
import { showKey } from '../model/parsed.ts';
import { formatDuration } from '../model/quantity.ts';
import { readServices } from '../operate/read-services.ts';
import { readService } from '../operate/target.ts';
import type { Registry } from '../registry/registry.ts';
import { overridesCommand } from '../settings/override.ts';
import { done } from './exit-code.ts';
import { formatTable } from './format-table.ts';
import { readHeldOverrides } from './held-overrides.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openAskedRegistry } from './open-registry.ts';
import { colorsOf, formatOf, print, printJson } from './outputs.ts';

/** `pointsman overrides [SERVICE]`. */
export async function run(invocation: Invocation): Promise<number> {
  const { json, ...settings } = await readInvocation(overridesCommand, invocation);
  const [text] = invocation.operands;
  const only = text === undefined ? undefined : readService(text);
  const registry = await openAskedRegistry(settings.registry, await createLogger(settings.log));
  try {
    const wall = Date.now();
    const services = only === undefined ? await overriddenServices(registry) : [only];
    const catalog = await readServices(registry, services, wall);
    const standing = [...catalog.overrides].flatMap(([service, ofService]) =>
      [...ofService].map(([scope, override]) => {
        const registered = catalog.services.get(service)?.registered;
        const waits = scope === '*' ? (registered?.size ?? 0) === 0 : registered?.has(scope) !== true;
        return { service, instance: scope, override, waits, held: false };
      }),
    );
    const lost = (await readHeldOverrides(registry, settings)).held
      .filter(({ target }) => only === undefined || target.service === only)
      // Written again since the balancer was asked.
      .filter(({ target: { service, scope } }) => catalog.overrides.get(service)?.has(scope) !== true)
      .map(({ target: { service, scope }, override }) => ({
        service,
        instance: scope,
        override,
        waits: false,
        held: true,
      }));
    const found = [...standing, ...lost];
    found.sort((a, b) => (`${a.service}/${a.instance}` < `${b.service}/${b.instance}` ? -1 : 1));
    const refused = [...catalog.rejected.values()].filter(({ key }) => key.startsWith('overrides/'));
    if (json) {
      const overrides = found.map(({ override, ...rest }) => ({ ...rest, ...overrideFields(override) }));
      const rejected = refused.map(({ key, reason }) => ({ key, reason }));
      printJson({ overrides, rejected });
      return done;
    }
    const colors = colorsOf(process.stdout);
    const rows = found.map(({ service, instance, override, waits, held }) => {
      const ends = overrideEnd(override, false, { now: 0, wall });
      return [
        `${service}/${instance}`,
        effectName(override.effect),
        ends === undefined ? 'no end' : `${formatDuration(ends)} left`,
        override.who ?? '-',
        `${override.why ?? ''}${waits ? ' [waits: there is no such instance]' : ''}${held ? ' [held: the registry no longer has it]' : ''}`.trim(),
      ];
    });
    if (rows.length === 0) print('no overrides\n');
    else {
      const paint = (cell: string, row: number, column: number) =>
        row === -1 ? colors.dim(cell) : column === 1 ? colors.yellow(cell) : cell;
      print(
        formatTable(['INSTANCE', 'OVERRIDE', 'TIME', 'BY', 'WHY'], rows, {
          paint,
          width: formatOf(process.stdout).width,
        }),
      );
    }
    for (const { key, reason } of refused) print(`${colors.red('not in force')}: ${showKey(key)}: ${reason}\n`);
    return done;
  } finally {
    await registry.close();
  }
}

async function overriddenServices(registry: Registry): Promise<ServiceName[]> {
  const { entries } = await registry.read('overrides/');
  const names = new Set(entries.map(({ key }) => serviceOfKey(key) ?? ''));
  return [...names].flatMap((name) => {
    const service = parseServiceName(name);
    return service.ok ? [service.value] : [];
  });
}
