import type { Catalog } from '../catalog/catalog.ts';
import { describeFile } from '../files/describe-file.ts';
import { heldReason, type Refusal } from '../fleet/acknowledgement.ts';
import { formatDuration } from '../model/quantity.ts';
import { describeConflict, moreConflicts } from '../render/conflict.ts';
import { templateFiles } from '../render/template.ts';
import type { BalancerHealth, BalancerState } from './balancer-state.ts';

type Troubled = {
  readonly balancers: readonly BalancerState[];
  readonly catalog: Pick<Catalog, 'rejected'>;
  /** Problems that are not in the balancers' own answers, a line each. */
  readonly beside: readonly string[];
  /** Keys that were written a moment ago: that a balancer does not serve one yet is no problem, unless waiting does not help. */
  readonly arriving?: ReadonlySet<string>;
};

/**
 * The problems, a line each and no line twice. First come those that keep all requests of a service from being served, then those of
 * a balancer itself, then those of services, and last the refused entries: any user with write permission can make many of them.
 */
export function troubleOf({ balancers, catalog, beside, arriving }: Troubled): readonly string[] {
  const rejected = [...catalog.rejected.values()];
  const isClaim = ({ key }: { readonly key: string }) => key.startsWith('claims/');
  return [
    ...new Set([
      ...balancers.flatMap(servicesDown),
      ...rejected
        .filter(isClaim)
        .map(
          ({ key, reason }) =>
            `${key}: ${reason}; this claim counts as not written, unless its key held a good one before`,
        ),
      ...beside,
      ...balancers.flatMap((balancer) => [...ofBalancer(balancer)]),
      ...balancers.flatMap((balancer) => [...ofWhatIsServed(balancer)]),
      ...balancers.flatMap((balancer) => [...refusedBy(balancer, catalog, arriving)]),
      ...rejected.filter((one) => !isClaim(one)).map(({ key, reason }) => `${key}: ${reason}`),
    ]),
  ];
}

const mostDown = 5;

/** `edge-1: no instance is up of web (0 of 3), api (0 of 2) and 4 more services`. */
export function servicesDown({ id, serves }: BalancerState): readonly string[] {
  const down = serves.filter(({ up, ready }) => up === 0 && ready > 0);
  if (down.length === 0) return [];
  const named = down.slice(0, mostDown).map(({ name, ready }) => `${name} (0 of ${ready})`);
  const more = down.length - named.length;
  const others = more === 0 ? '' : ` and ${more} more ${more === 1 ? 'service' : 'services'}`;
  return [`${id}: no instance is up of ${named.join(', ')}${others}: pointsman status SERVICE tells why`];
}

function* ofBalancer({ id, health: state, says, unread }: BalancerState): Generator<string> {
  if (unread !== undefined) yield `${id}: ${unread}`;
  if (says !== undefined && !says.ok) yield `${id}: its acknowledgement cannot be read: ${says.reason}`;
  if (state === undefined) return;
  for (const { part, means, reason, sinceMs } of state.troubles) {
    if (part === 'storage' || reason === state.refused) continue;
    const template = part === 'template' ? refusedTemplates(state).find((one) => one.reason === reason) : undefined;
    const what = template === undefined ? means : `${template.name} was refused; the last good one is in use`;
    yield `${id}: for ${formatDuration(sinceMs)}, ${what}: ${reason}`;
  }
  if (state.refused !== undefined) yield `${id}: ${state.refused}`;
  for (const { what, reason } of state.storage) yield `${id}: the ${what} is not on disk: ${reason}`;
  if (state.drift !== undefined) yield `${id}: ${describeDrift(state.drift)}`;
  for (const one of state.held) yield `${id}: ${describeHeld(one)}`;
}

function* ofWhatIsServed({ id, health: state }: BalancerState): Generator<string> {
  if (state === undefined) return;
  for (const one of state.conflicts) yield `${id}: ${describeConflict(one)}`;
  for (const [name, count] of Object.entries(state.moreConflicts)) yield `${id}: ${moreConflicts(name, count)}`;
  for (const { says: what } of state.files.flatMap(describeFile)) yield `${id}: ${what}`;
  for (const { service, lost, of, instances } of state.guarded) {
    const held = `${instances.length} ${instances.length === 1 ? 'is' : 'are'} held`;
    yield `${id}: ${service} lost ${lost} of ${of} at once; ${held} (pointsman release ${service})`;
  }
  for (const { service, instance, phase, errors, endsInMs } of state.ejected) {
    const left = formatDuration(endsInMs);
    const how = phase === 'out' ? `is ejected for ${left} more` : `is on trial for ${left} more`;
    yield `${id}: ${service}/${instance} ${how}: ${errors} errors in a row`;
  }
  const templates = refusedTemplates(state);
  const said = new Set(state.troubles.filter(({ part }) => part === 'template').map(({ reason }) => reason));
  for (const { key, reason, serves } of state.quarantined) {
    const template = templates.find((one) => one.key === key);
    // Its line is among the troubles of the balancer.
    if (template !== undefined && said.has(reason)) continue;
    yield `${id}: ${template?.name ?? key} is quarantined (${serves === 'nothing' ? 'not served' : 'served as before'}): ${reason}`;
  }
}

/** The templates in quarantine, each with the name of its file. */
function refusedTemplates({ quarantined }: BalancerHealth) {
  return quarantined.flatMap(({ key, reason }) => {
    const file = Object.entries(templateFiles).find(([role]) => key === `templates/${role}`)?.[1];
    return file === undefined ? [] : [{ key, reason, name: `the template ${file}` }];
  });
}

function* refusedBy(
  { id, health: state, says }: BalancerState,
  catalog: Troubled['catalog'],
  arriving: Troubled['arriving'],
): Generator<string> {
  for (const refusal of says?.ok ? says.value.refusals : []) {
    if (refusal.final !== true && arriving?.has(refusal.key)) continue;
    // A malformed entry is malformed for all balancers, so it is printed once. Held entries are one line together.
    if (catalog.rejected.has(refusal.key) || refusal.reason === heldReason || tellsItself(state, refusal)) continue;
    yield `${id}: ${refusal.key}: ${refusal.reason}`;
  }
}

const mostRefusals = 3;
/** A line about an entry that is refused, by all or by one balancer. */
const refusedEntry = /^(\S+: )?(?:instances|services|overrides)\/([^/:\s]+)(?:\/\S*)?: /;

/** The same for a person: of each service the first refusals only, and how many more there are. */
export function shortTrouble(lines: readonly string[]): readonly string[] {
  const groups = new Map<string, string[]>();
  for (const line of lines) {
    const [, by = '', service] = refusedEntry.exec(line) ?? [];
    const group = service === undefined ? line : `${by}entries of ${service}`;
    const known = groups.get(group);
    if (known === undefined) groups.set(group, [line]);
    else known.push(line);
  }
  return [...groups].flatMap(([group, all]) => [
    ...all.slice(0, mostRefusals),
    ...(all.length > mostRefusals ? [`${group}: and ${all.length - mostRefusals} more (--json has all)`] : []),
  ]);
}

/** Whether the status of the balancer has a line of its own for what its acknowledgement, which shortens reasons, refuses. */
function tellsItself(state: BalancerHealth | undefined, { key, reason }: Refusal): boolean {
  const start = reason.replace(/\.\.\.$/, '');
  const isOf = (held: string) => key === held || key === held.replace(/^services\/(.*)$/, 'instances/$1/*');
  return state?.quarantined.some((held) => isOf(held.key) && held.reason.startsWith(start)) === true;
}

/** `57 entries are held until released (pointsman release SERVICE, or --all): this is another cluster…: services/web, … and 37 more`. */
function describeHeld({ count, reason, endsInMs, keys }: BalancerHealth['held'][number]): string {
  const entries = count === 1 ? '1 entry is' : `${count} entries are`;
  const until = endsInMs === undefined ? 'until released' : `for ${formatDuration(endsInMs)} more`;
  const more = count > keys.length ? ` and ${count - keys.length} more` : '';
  const named = keys.length === 0 ? '' : `: ${keys.join(', ')}${more}`;
  return `${entries} held ${until} (pointsman release SERVICE, or --all): ${reason}${named}`;
}

/** `HAProxy ran something else 3s ago (2 differences, healed; 4 times in 15 minutes): server web/a …`. */
function describeDrift({ times, ageMs, count, differences }: NonNullable<BalancerHealth['drift']>): string {
  const often = times === 1 ? '' : `; ${times} times in 15 minutes`;
  const what = `${count} ${count === 1 ? 'difference' : 'differences'}`;
  return `HAProxy ran something else ${formatDuration(ageMs)} ago (${what}, healed${often}): ${differences[0]}`;
}
