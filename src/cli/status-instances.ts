import * as v from 'valibot';
import type { Catalog } from '../catalog/catalog.ts';
import { withSplit } from '../catalog/split.ts';
import { formatAddress } from '../model/address.ts';
import type { ServiceName } from '../model/name.ts';
import { formatDuration } from '../model/quantity.ts';
import { askAdmin, type KnownBalancer } from './balancers.ts';
import { formatTable, naturalWidth } from './format-table.ts';
import type { TextFormat } from './outputs.ts';

/** An instance of one service, as the registry has it or a balancer holds it, and what each HAProxy makes of it. */
export type InstanceStatus = {
  readonly id: string;
  readonly address: string;
  readonly state: string;
  readonly weight: number;
  readonly version?: string | undefined;
  readonly zone?: string | undefined;
  /** By balancer, of those that can be asked: `UP for 3s`. */
  readonly haproxy: Readonly<Record<string, string>>;
};

const view = v.looseObject({
  id: v.string(),
  address: v.string(),
  state: v.string(),
  weight: v.number(),
  version: v.optional(v.string()),
  zone: v.optional(v.string()),
  held: v.optional(v.boolean(), false),
  ejection: v.optional(v.looseObject({ phase: v.string(), endsInMs: v.number() })),
  traffic: v.optional(v.looseObject({ status: v.string(), sinceS: v.number() })),
});
const detail = v.looseObject({ instancesById: v.array(view) });

/** Every instance of a service, with those that only a balancer has because it holds them. */
export async function readInstances(
  service: ServiceName,
  catalog: Catalog,
  balancers: readonly KnownBalancer[],
): Promise<readonly InstanceStatus[]> {
  const known = new Map<string, Omit<InstanceStatus, 'haproxy'>>();
  const registered = catalog.services.get(service);
  const served = registered && withSplit(registered).instances;
  for (const { id, address, state, weight, version, zone } of served?.values() ?? []) {
    known.set(id, { id, address: formatAddress(address), state, weight, version, zone });
  }
  const said = await Promise.all(
    balancers.map(async ({ id, admin }) => {
      if ('reason' in admin) return undefined;
      // It may not have such a service, or answer no more.
      const answer = await askAdmin(admin.at, `/services/${service}`).catch(() => undefined);
      const parsed = v.safeParse(detail, answer);
      return parsed.success ? { balancer: id, instances: parsed.output.instancesById } : undefined;
    }),
  );
  const haproxy = new Map<string, Record<string, string>>();
  for (const { balancer, instances } of said.filter((one) => one !== undefined)) {
    for (const one of instances) {
      const { id, address, state, weight, version, zone, held } = one;
      if (!known.has(id)) known.set(id, { id, address, state: held ? 'held' : state, weight, version, zone });
      haproxy.set(id, { ...haproxy.get(id), [balancer]: stateOn(one) });
    }
  }
  return [...known.values()]
    .map((one) => ({ ...one, haproxy: haproxy.get(one.id) ?? {} }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** `UP for 3s`, or `ejected for 25s more` while it gets no requests although its check may pass. */
function stateOn({ ejection, traffic }: Pick<v.InferOutput<typeof view>, 'ejection' | 'traffic'>): string {
  if (traffic === undefined) return 'has it not';
  const says = `${traffic.status} for ${formatDuration(traffic.sinceS * 1000)}`;
  if (ejection === undefined) return says;
  // HAProxy says the time in whole seconds as well.
  const left = formatDuration(Math.ceil(ejection.endsInMs / 1000) * 1000);
  return ejection.phase === 'out' ? `ejected for ${left} more` : `${says}, on trial for ${left} more`;
}

/** A row for each, with a column for each balancer that could be asked; lines instead where that is too wide. */
export function formatInstances(instances: readonly InstanceStatus[], { colors, width }: TextFormat): string {
  const asked = [...new Set(instances.flatMap(({ haproxy }) => Object.keys(haproxy)))].sort();
  const fixed = ['INSTANCE', 'ADDRESS', 'STATE', 'WEIGHT', 'VERSION', 'ZONE'];
  const rows = instances.map(({ id, address, state, weight, version, zone, haproxy }) => [
    ...[id, address, state, String(weight), version ?? '', zone ?? ''],
    ...asked.map((balancer) => haproxy[balancer] ?? '-'),
  ]);
  const heading = [...fixed, ...asked.map((balancer) => `ON ${balancer}`)];
  const paintState = (text: string) => (/^(UP|no check)/.test(text) ? colors.green(text) : colors.red(text));
  const paint = (cell: string, row: number, column: number) => {
    if (row < 0) return colors.dim(cell);
    if (column === 2) return cell.trim() === 'ready' ? cell : colors.yellow(cell);
    return column < fixed.length || cell.trim() === '' ? cell : paintState(cell);
  };
  const few = rows.map((row) => row.slice(0, fixed.length));
  const isWide = width !== undefined && asked.length > 1 && naturalWidth(heading, rows) > width;
  if (!isWide) return formatTable(heading, rows, { paint, width });
  const where = instances.flatMap(({ id, haproxy }) =>
    asked.map((balancer) => [id, balancer, haproxy[balancer] ?? '-']),
  );
  const paintWhere = (cell: string, row: number, column: number) =>
    row < 0 ? colors.dim(cell) : column === 2 ? paintState(cell) : cell;
  return `${formatTable(fixed, few, { paint, width })}\n${formatTable(['INSTANCE', 'ON', 'HAPROXY'], where, { paint: paintWhere, width })}`;
}
