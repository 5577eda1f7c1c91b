import { countFaults } from '../haproxy/known-faults.ts';
import { printable } from '../model/printable.ts';
import { formatDuration } from '../model/quantity.ts';
import { noRevision } from '../model/revision.ts';
import type { BalancerState } from './balancer-state.ts';
import { formatTable } from './format-table.ts';
import type { TextFormat } from './outputs.ts';
import { describeDown } from './status-down.ts';
import { formatInstances } from './status-instances.ts';
import type { Status } from './status-read.ts';
import { servicesDown, shortTrouble } from './status-trouble.ts';
import { describeUnasked } from './unasked.ts';
import { wrapText } from './wrap-text.ts';

const mostTrouble = 20;
const mostOut = 20;

/** What is down and what else is wrong, then the balancers, the services, and the instances that were asked for. */
export function formatStatus(status: Status, format: TextFormat): string {
  const { location, revision, instances } = status;
  const { colors } = format;
  const answer = revision === undefined ? colors.red('does not answer') : `revision ${revision}`;
  const parts = [
    wrapText(`${colors.bold(printable(location))}  ${answer}`, format.width, 2).concat('\n'),
    notAskedPart(status, format),
    downPart(status, format),
    troublePart(status, format),
    balancersPart(status, format),
    servicesPart(status, format),
    instances === undefined || instances.length === 0 ? '' : formatInstances(instances, format),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function notAskedPart({ notAsked, balancers }: Status, format: TextFormat): string {
  const { colors } = format;
  const paint = notAsked.length === balancers.length ? colors.red : colors.yellow;
  return notAsked.length === 0 ? '' : list(paint('NOT ASKED'), describeUnasked(notAsked), format);
}

function downPart({ down, balancers, outOfService }: Status, format: TextFormat): string {
  const out = outOfService.slice(0, mostOut).map(({ service, reason }) => `${service}: ${reason}`);
  const more = outOfService.length - out.length;
  const rest = more === 0 ? [] : [`and ${more} more services that take no new requests (--json has all)`];
  const lines = [...out, ...rest, ...describeDown(down, balancers)];
  return lines.length === 0 ? '' : list(format.colors.red('DOWN'), lines, format);
}

function troublePart({ trouble, balancers, notAsked }: Status, format: TextFormat): string {
  // These services are under DOWN, and these balancers under NOT ASKED.
  const said = new Set(balancers.flatMap(servicesDown));
  const isSaid = (line: string) =>
    said.has(line) || notAsked.some(({ id }) => line.startsWith(`${id}: its admin port `));
  const lines = shortTrouble(trouble.filter((line) => !isSaid(line)));
  if (lines.length === 0) return '';
  const more = lines.length > mostTrouble ? [`and ${lines.length - mostTrouble} more (--json has all)`] : [];
  return list(format.colors.yellow('look at this'), [...lines.slice(0, mostTrouble), ...more], format);
}

function list(title: string, lines: readonly string[], { width }: TextFormat): string {
  return `${[title, ...lines.map((line) => wrapText(`  ${printable(line)}`, width, 4))].join('\n')}\n`;
}

function balancersPart({ balancers }: Status, { colors, width }: TextFormat): string {
  if (balancers.length === 0) return `${colors.yellow('no balancer')} is known to the registry, nor runs here\n`;
  const states = balancers.map((balancer) => stateOf(balancer));
  const painters = { good: colors.green, bad: colors.red, note: colors.yellow };
  const rows = balancers.map(({ id, says, health: state }, row) => [
    id,
    says?.ok ? String(says.value.revision) : '-',
    state === undefined ? '-' : String(BigInt(state.revisionSeen) - BigInt(state.revisionApplied)),
    says?.ok ? says.value.haproxyVersion : '-',
    states[row]?.says ?? '',
  ]);
  const paint = (cell: string, row: number, column: number) => {
    if (row < 0) return colors.dim(cell);
    if (column === 2) return /^[-0]? *$/.test(cell) ? cell : colors.yellow(cell);
    return column === 4 ? painters[states[row]?.kind ?? 'note'](cell) : cell;
  };
  const table = formatTable(['BALANCER', 'SERVES REVISION', 'LAG', 'HAPROXY', 'STATE'], rows, { paint, width });
  const versions = new Set(balancers.flatMap(({ says }) => (says?.ok ? [says.value.haproxyVersion] : [])));
  const notes = [...versions].flatMap((version) => countFaults(version) ?? []);
  return table + notes.map((note) => `${wrapText(`${colors.yellow('note')}: ${note}`, width, 2)}\n`).join('');
}

function servicesPart({ services, balancers, revision }: Status, { colors, width }: TextFormat): string {
  if (services.length === 0) return `no service is ${revision === undefined ? 'known' : 'registered'}\n`;
  const ups = services.map(({ name }) => upOf(name, balancers));
  const rows = services.map(({ name, instances, ready, overrides, hosts, declared, policyRejected }, row) => [
    name,
    String(instances),
    String(ready),
    ups[row] ?? '-',
    overrides === 0 ? '' : String(overrides),
    hosts.length === 0 ? `${name}, ${name}.*` : `${hosts.slice(0, 3).join(', ')}${hosts.length > 3 ? ', …' : ''}`,
    policyNote({ declared, policyRejected }),
  ]);
  const paint = (cell: string, row: number, column: number) => {
    const service = services[row];
    if (service === undefined) return colors.dim(cell);
    if (column === 2 && service.ready === 0) return colors.red(cell);
    if (column === 3 && ups[row] !== '-' && ups[row] !== String(service.ready)) return colors.yellow(cell);
    return column === 6 ? colors.dim(cell) : cell;
  };
  return formatTable(['SERVICE', 'INSTANCES', 'READY', 'UP', 'OVERRIDES', 'AT', ''], rows, { paint, width });
}

function policyNote({
  declared,
  policyRejected,
}: Pick<Status['services'][number], 'declared' | 'policyRejected'>): string {
  if (policyRejected === undefined) return declared ? '' : 'default policy';
  return declared ? 'last good policy; the newest is rejected' : 'answers 503: its policy is rejected';
}

function stateOf({ health: state, says, admin }: BalancerState): { kind: 'good' | 'bad' | 'note'; says: string } {
  if (state === undefined) {
    const why = 'reason' in admin ? admin.reason : 'it does not answer';
    if (!says?.ok) return { kind: 'note', says: why };
    const begun = says.value.revision !== noRevision;
    return { kind: 'note', says: begun ? 'not asked; it acknowledges' : 'started; serves nothing yet' };
  }
  if (!(state.serving ?? state.ready)) return { kind: 'bad', says: 'not serving' };
  if (state.leaving !== undefined) {
    return { kind: 'note', says: `serving; leaving, and stops in ${formatDuration(state.leaving.stopsInMs)}` };
  }
  if (!state.registry.connected) {
    return {
      kind: 'bad',
      says: `serving what it knew ${formatDuration(state.registry.staleMs)} ago: ${state.registry.reason}`,
    };
  }
  if (state.refused !== undefined) return { kind: 'bad', says: 'serving; the newest configuration was refused' };
  if (!state.ready) return { kind: 'bad', says: `serving; not ready: ${state.troubles[0]?.means ?? 'see below'}` };
  if (state.pendingReload.length > 0) return { kind: 'note', says: `a reload is due: ${state.pendingReload[0]}` };
  if (says === undefined) return { kind: 'note', says: 'serving; it does not acknowledge' };
  return { kind: 'good', says: 'serving' };
}

/** How many instances are up, as the balancers that can be asked find: `4`, `3-4` where they disagree, or `4 (1 ejected)`. */
function upOf(service: string, balancers: readonly BalancerState[]): string {
  const known = balancers.flatMap(({ serves }) => serves.find(({ name }) => name === service) ?? []);
  const counts = known.flatMap(({ up }) => up ?? []);
  if (counts.length === 0) return '-';
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const ejected = Math.max(...known.map((one) => one.ejected ?? 0));
  return `${least === most ? least : `${least}-${most}`}${ejected === 0 ? '' : ` (${ejected} ejected)`}`;
}
