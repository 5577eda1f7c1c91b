import { Resolver } from 'node:dns/promises';
import { resolve } from 'node:path';
import { openToken } from '../admin/token.ts';
import { certificateNotes } from '../check/certificate-notes.ts';
import { listeningFaults } from '../check/listening.ts';
import { missingAtStart, missingForEtcd, sealingKeysFaults } from '../check/setting-paths.ts';
import { folderProblems } from '../check/template-problems.ts';
import { readDeclarations } from '../declarations/read-declarations.ts';
import { prepareFiles } from '../files/prepare-files.ts';
import { openToOthers } from '../fs/open-to-others.ts';
import { describeFaults, faultsOfVersion } from '../haproxy/known-faults.ts';
import type { Fault } from '../model/fault.ts';
import { printable } from '../model/printable.ts';
import { describeProblem, type Problem, problemOf } from '../model/problem.ts';
import { type BalancerSettings, type BalanceSettings, balanceCommand } from '../settings/balance.ts';
import { checkCommand } from '../settings/check.ts';
import { readOptions } from '../settings/read-options.ts';
import { readConfigPath, readSettings } from '../settings/read-settings.ts';
import type { SettingsFile, Sources } from '../settings/sources.ts';
import { type AskedHaproxy, askedHaproxy, checkEntries, collecting } from './check-declared.ts';
import { done, failed } from './exit-code.ts';
import type { Invocation } from './invocation.ts';
import { errorText, journalReads } from './journal.ts';
import { folderFault } from './open-registry.ts';
import { colorsOf, print, printJson } from './outputs.ts';
import { whileWaiting } from './spinner.ts';
import { readStandardInput } from './standard-input.ts';

/** The files that were checked, and their problems. */
type Report = {
  readonly problems: readonly Problem[];
  /** Notes on well-formed entries whose effect may surprise. */
  readonly notes: readonly string[];
  readonly settings: string | undefined;
  readonly templates: string | undefined;
  readonly entries: number;
  /** The version that was asked; undefined when none was. */
  readonly haproxy: string | undefined;
  /** Its known faults that concern pointsman, by id; see docs/haproxy-versions.md. */
  readonly haproxyFaults: readonly string[];
  /** Why HAProxy was not asked. */
  readonly notAsked: string | undefined;
};

const lookupMs = 3000;

export async function run(invocation: Invocation): Promise<number> {
  const report = await whileWaiting('checking; HAProxy validates a configuration of it', () => check(invocation));
  const json = invocation.flags.has('json');
  if (json) printJson(report);
  else print(errorText(describeReport(report), report.problems.length > 0 && journalReads(invocation.env, 1)));
  return report.problems.length === 0 ? done : failed;
}

async function check({ flags, env, machine, operands, packageFolder }: Invocation): Promise<Report> {
  const problems: Problem[] = [];
  const path = readConfigPath({ flags, env }, machine);
  if (!path.ok) problems.push(...path.problems.map(problemOf));
  const config = path.ok ? path.value : undefined;
  const file = config === undefined ? undefined : await collecting(problems, () => readFile(config));
  const sources: Sources = { flags, env, file };
  const reading = readSettings(checkCommand, sources, machine);
  if (!reading.ok) problems.push(...reading.problems.map(problemOf));
  const settings = reading.ok ? reading.value.balance : undefined;
  const withHaproxy = !flags.has('without-haproxy');
  if (reading.ok && withHaproxy) {
    problems.push(...(await missingPaths(reading.value)).map(problemOf));
    const { adminTokenFile } = reading.value;
    if (adminTokenFile !== undefined) await collecting(problems, () => openToken(adminTokenFile));
  }
  if (settings !== undefined) await collecting(problems, () => prepareFiles(settings.files));

  const haproxy = withHaproxy ? await haproxyFor(settings) : notAsked('--without-haproxy is set');
  if (haproxy.kind === 'not-asked' && haproxy.problem !== undefined) problems.push(haproxy.problem);

  // Whatever else is wrong, the templates are looked at.
  const { haproxyTemplates } = balanceCommand.options;
  const folder = readOptions({ haproxyTemplates }, sources, machine);
  const own = folder.ok ? folder.value.haproxyTemplates : undefined;
  if (own !== undefined) problems.push(...(await folderProblems(own)));

  const declarations = await collecting(problems, () => readDeclarations(operands, readStandardInput));
  const checked = await checkEntries(settings, packageFolder, declarations ?? nothingDeclared, haproxy);
  problems.push(...checked.problems);
  if (settings !== undefined && flags.has('listen')) {
    problems.push(...(await listeningFaults(settings, executableOf(haproxy), checked.config)).map(problemOf));
  }
  // Without a settings file, the defaults say nothing about the balancers.
  const isTheirs = config !== undefined || settings?.acme !== undefined;
  const asking = isTheirs ? (checked.certificateHosts ?? []) : [];
  const orders = settings && (await certificateNotes(settings, asking, withHaproxy ? lookupHost : undefined));
  return {
    problems: unique(problems),
    notes: [
      ...checked.notes,
      ...(orders ?? []),
      ...(await openSecrets(settings)),
      ...(reading.ok ? passwordNotes(reading.value.userWithoutPassword) : []),
    ],
    settings: config,
    templates: own === undefined ? undefined : resolve(own),
    entries: declarations?.declared.length ?? 0,
    haproxy: haproxy.kind === 'asked' ? haproxy.version : undefined,
    haproxyFaults: haproxy.kind === 'asked' ? faultsOfVersion(haproxy.version).map(({ fault }) => fault.id) : [],
    notAsked: haproxy.kind === 'asked' ? undefined : haproxy.reason,
  };
}

/** The files and folders that the settings name and that are not there. */
async function missingPaths({ balance, registry }: BalancerSettings): Promise<readonly Fault[]> {
  const folder = await folderFault(registry);
  return [
    ...(folder === undefined ? [] : [folder]),
    ...(await missingAtStart(balance)),
    ...(await sealingKeysFaults(balance)),
    ...(await missingForEtcd(registry)),
  ];
}

async function openSecrets(settings: BalanceSettings | undefined): Promise<readonly string[]> {
  const file = settings?.sealingKeys;
  const reason = file === undefined ? undefined : await openToOthers(file);
  return reason === undefined ? [] : [`--sealing-keys ${file}: ${reason}`];
}

const passwordNotes = (user: string | undefined): readonly string[] =>
  user === undefined
    ? []
    : [
        `--etcd-user ${user}: its password was not checked, because it is not given here; a balancer needs POINTSMAN_ETCD_PASSWORD or --etcd-password-file`,
      ];

async function readFile(path: string): Promise<SettingsFile> {
  return (await import('../settings/yaml-file.ts')).readYamlFile(path);
}

/** As the resolver of this machine finds it, which may know other names than the authority's. */
function lookupHost(host: string): Promise<unknown> {
  const resolver = new Resolver({ timeout: lookupMs, tries: 1 });
  return Promise.any([resolver.resolve4(host), resolver.resolve6(host)]).catch((error: AggregateError) => {
    throw error.errors[0];
  });
}

const nothingDeclared = { declared: [], problems: [] };

const notAsked = (reason: string): AskedHaproxy => ({ kind: 'not-asked', reason });

const haproxyFor = async (settings: BalanceSettings | undefined): Promise<AskedHaproxy> =>
  settings === undefined ? notAsked('the settings are wrong') : askedHaproxy(settings);

const executableOf = (haproxy: AskedHaproxy): string | undefined =>
  haproxy.kind === 'asked' ? haproxy.executable : undefined;

function unique(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [describeProblem(problem), problem])).values()];
}

function describeReport({ problems, notes, settings, templates, entries, haproxy, notAsked }: Report): string {
  const lines = problems.map((problem) => printable(describeProblem(problem)));
  const looked = [
    ...(settings === undefined ? [] : [printable(settings)]),
    templates === undefined ? 'the shipped templates' : `the templates in ${printable(templates)}`,
    ...(entries === 0 ? [] : [`${entries} ${entries === 1 ? 'entry' : 'entries'}`]),
  ].join(', ');
  const byHaproxy =
    haproxy === undefined ? `HAProxy was not asked: ${printable(notAsked ?? '')}` : `HAProxy ${haproxy} was asked`;
  const count = `${problems.length} problem${problems.length === 1 ? '' : 's'}`;
  const colors = colorsOf(process.stdout);
  const verdict = problems.length === 0 ? colors.green('in order') : colors.red(count);
  const faults = haproxy === undefined ? undefined : describeFaults(haproxy);
  const noted = [...notes, ...(faults === undefined ? [] : [faults])].map(
    (note) => `${colors.yellow('note')}: ${printable(note)}`,
  );
  return `${[...lines, ...noted, `${verdict}: ${looked} (${byHaproxy})`].join('\n')}\n`;
}
