import type { KeyDiff } from '../apply/key-diff.ts';
import type { FieldDiff } from '../apply/value-diff.ts';
import { unifiedDiff } from '../files/unified-diff.ts';
import { showKey } from '../model/parsed.ts';
import { printable } from '../model/printable.ts';
import type { AskedPlans, PlanGroup } from './ask-plans.ts';
import type { Colors } from './outputs.ts';
import { paintedDiff } from './painted-diff.ts';

const signs = {
  create: '+',
  update: '~',
  take: '~',
  adopt: '=',
  remove: '-',
  undeclared: ' ',
  forget: ' ',
} as const satisfies Readonly<Record<Exclude<KeyDiff['kind'], 'unchanged'>, string>>;

/** The differences by key and field, and a line that counts them. */
export function describeDiffs(diffs: readonly KeyDiff[], unchanged: number, colors: Colors): string {
  const blocks = diffs.map((diff) => describeKey(diff, colors));
  return `${[...blocks, colors.bold(describeCounts(diffs, unchanged))].join('\n')}\n`;
}

function describeKey(diff: KeyDiff, colors: Colors): string {
  const { key, kind, place, fields, text } = diff;
  const sign = kind === 'unchanged' ? ' ' : signs[kind];
  const at = place === undefined ? '' : colors.dim(`  ${printable(place.file)}:${place.line}:${place.column}`);
  const note = describeNote(diff);
  const head = `${paintOf(sign, colors)(`${sign} ${showKey(key)}`)}${at}${note === undefined ? '' : `  ${printable(note)}`}`;
  const lines = fields.map((field) => `    ${describeField(field, colors)}`);
  return [head, ...lines, ...(text === undefined ? [] : [describeText(key, text, colors)])].join('\n');
}

function describeNote({ kind, note }: KeyDiff): string | undefined {
  switch (kind) {
    case 'take':
      return note === 'nobody' ? 'taken over: no set owns it' : `taken over from the set ${note}`;
    case 'adopt':
      return 'the same value, which this set owns from now on';
    case 'forget':
      return `no longer of this set: ${note}`;
    case 'undeclared':
      return 'no file declares it: --prune would remove it';
    case 'remove':
      return 'no file declares it';
    default:
      return undefined;
  }
}

export function describeField({ path, before, after }: FieldDiff, colors: Colors): string {
  const show = (value: unknown): string => printable(JSON.stringify(value));
  if (before === undefined) return colors.green(`+ ${printable(path)}: ${show(after)}`);
  if (after === undefined) return colors.red(`- ${printable(path)}: ${show(before)}`);
  return `~ ${printable(path)}: ${colors.red(show(before))} → ${colors.green(show(after))}`;
}

function describeText(key: string, { before, after }: NonNullable<KeyDiff['text']>, colors: Colors): string {
  const isLine = (text: string | undefined): boolean => text === undefined || !/[\n\r]/.test(text);
  if (isLine(before) && isLine(after)) {
    const [was, is] = [before, after].map((text) => text && printable(text));
    if (was === undefined) return `    ${colors.green(`+ ${is}`)}`;
    return is === undefined ? `    ${colors.red(`- ${was}`)}` : `    ${colors.red(was)} → ${colors.green(is)}`;
  }
  const lines = unifiedDiff({ dest: key, before: before ?? '', after: after ?? '' }).split('\n');
  // The headers name the key, which is in the line above.
  const body = lines.slice(lines.findIndex((line) => line.startsWith('@@'))).filter((line) => line !== '');
  return paintedDiff(body.join('\n'), colors).replace(/^/gm, '    ');
}

function paintOf(sign: string, colors: Colors): (text: string) => string {
  if (sign === '+') return colors.green;
  if (sign === '-') return colors.red;
  return sign === ' ' ? colors.dim : colors.yellow;
}

const verbs = [
  ['create', 'to create'],
  ['update', 'to change'],
  ['take', 'to take over'],
  ['adopt', 'to own'],
  ['remove', 'to remove'],
  ['forget', 'to forget'],
] as const;

function describeCounts(diffs: readonly KeyDiff[], unchanged: number): string {
  const counts = verbs.flatMap(([kind, verb]) => {
    const count = diffs.filter((one) => one.kind === kind).length;
    return count === 0 ? [] : [`${count} ${verb}`];
  });
  return [...(counts.length === 0 ? ['nothing to change'] : counts), `${unchanged} unchanged`].join(', ');
}

/** A balancer of another machine answers only on an address that this one reaches, and to a question with its token. */
const howToAsk = (hasToken: boolean): string =>
  `Run pointsman diff on the machine of the balancer. To ask it from here, have its admin port listen where this machine reaches it (balance --admin HOST:PORT)${hasToken ? '.' : ', and give its token (--admin-token-file FILE).'}`;

/** What each balancer's HAProxy would do, those that would do the same together, and who could not be asked. */
export function describePlans({ groups, notAsked }: AskedPlans, hasToken: boolean, colors: Colors): string {
  const byReason = new Map<string, readonly string[]>();
  for (const { id, reason } of notAsked) byReason.set(reason, [...(byReason.get(reason) ?? []), id]);
  const lines = [
    ...groups.flatMap((group) => describeGroup(group, colors)),
    ...[...byReason].map(
      ([reason, ids]) =>
        `${colors.bold(printable(ids.join(', ')))}: ${colors.yellow('not asked')}: ${printable(reason)}`,
    ),
    ...(notAsked.length === 0 ? [] : [howToAsk(hasToken)]),
  ];
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

const mostLines = 20;

function describeGroup({ balancers, plan }: PlanGroup, colors: Colors): readonly string[] {
  const { commands, reload, routes, conflicts, unserved, moreUnserved, held, pending, validation, instances } = plan;
  const lines = (
    from: { readonly count: number; readonly first: readonly string[] },
    show: (line: string) => string,
  ) => {
    const first = from.first.slice(0, mostLines).map((line) => `    ${show(printable(line))}`);
    const more = from.count - first.length;
    return more > 0 ? [...first, `    and ${more} more`] : first;
  };
  const what = commands.count === 0 ? 'no command' : `${commands.count} command${commands.count === 1 ? '' : 's'}`;
  const concerned = instances === 0 ? '' : `, ${instances} instance${instances === 1 ? '' : 's'} concerned`;
  const does = reload.count === 0 ? colors.green(`${what}, no reload`) : colors.yellow(`${what}, a reload`);
  const paintCommand = (line: string): string =>
    /^del | state maint$/.test(line) ? colors.red(line) : colors.green(line);
  return [
    `${colors.bold(nameAll(balancers))}: ${does}${concerned}`,
    ...lines(commands, paintCommand),
    ...lines(reload, (line) => `${colors.yellow('reload')}: ${line}`),
    ...(reload.count === 0 ? [] : lines(withoutCommanded(routes, commands.first), (line) => `route ${line}`)),
    ...lines(conflicts, (line) => `${colors.red('conflict')}: ${line}`),
    ...lines(
      { count: unserved.length + moreUnserved, first: unserved.map(describeUnserved) },
      (line) => `${colors.red('not served')}: ${line}`,
    ),
    ...lines(
      held,
      (line) =>
        `${colors.yellow('held')}: ${line}: so many keys are deleted at once that the balancer goes on using it (pointsman release)`,
    ),
    ...(pending.length === 0 ? [] : [`    a reload waits already: ${printable(pending.slice(0, 3).join('; '))}`]),
    ...(validation.kind === 'refused'
      ? [
          `    ${colors.red('HAProxy would refuse it')}: ${printable([...validation.keys, validation.reason].join(': '))}`,
        ]
      : []),
    ...(validation.kind === 'accepted' ? [`    ${colors.green('HAProxy accepts the configuration')}`] : []),
  ];
}

/** The routes that come with the reload: those that commands change are told already. */
function withoutCommanded(routes: PlanGroup['plan']['routes'], commands: readonly string[]): typeof routes {
  const commanded = new Set(commands.flatMap((line) => / map \S+ (\S+)/.exec(line)?.[1] ?? []));
  const first = routes.first.filter((line) => !commanded.has(line.split(' ')[1] ?? ''));
  return { first, count: routes.count - (routes.first.length - first.length) };
}

const describeUnserved = ({ key, reason, lastGoodServes }: PlanGroup['plan']['unserved'][number]): string =>
  `${showKey(key)}: ${reason}${lastGoodServes ? '; the former value still serves' : ''}`;

/** `lb-1, lb-2 (HAProxy 3.0.11), lb-3 (HAProxy 2.6.12)`. */
function nameAll(balancers: PlanGroup['balancers']): string {
  const byVersion = new Map<string, readonly string[]>();
  for (const { id, haproxy = '' } of balancers) byVersion.set(haproxy, [...(byVersion.get(haproxy) ?? []), id]);
  return [...byVersion]
    .map(([version, ids]) => printable(`${ids.join(', ')}${version === '' ? '' : ` (HAProxy ${version})`}`))
    .join(', ');
}
