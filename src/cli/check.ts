import { join, resolve } from 'node:path';
import { openToken } from '../admin/token.ts';
import { type EntryFile, entryProblems } from '../check/entry-file.ts';
import { listeningFaults } from '../check/listening.ts';
import { readEntries } from '../check/read-entries.ts';
import { type SampleParts, type SampleResult, trySample } from '../check/sample.ts';
import { missingAtStart, missingForEtcd } from '../check/setting-paths.ts';
import { folderProblems } from '../check/template-problems.ts';
import { prepareFiles } from '../files/prepare-files.ts';
import { readVersion } from '../haproxy/check.ts';
import { describeFaults, faultsOfVersion } from '../haproxy/known-faults.ts';
import { Fault, faultsOf } from '../model/fault.ts';
import { printable } from '../model/printable.ts';
import { describeProblem, type Problem, problemOf } from '../model/problem.ts';
import { loadTemplates } from '../render/load-templates.ts';
import { type BalancerSettings, type BalanceSettings, balanceCommand } from '../settings/balance.ts';
import { checkCommand } from '../settings/check.ts';
import { readOptions } from '../settings/read-options.ts';
import { readConfigPath, readSettings } from '../settings/read-settings.ts';
import type { SettingsFile, Sources } from '../settings/sources.ts';
import { done, failed } from './exit-code.ts';
import type { Invocation } from './invocation.ts';
import { errorText, journalReads } from './journal.ts';
import { folderFault } from './open-registry.ts';
import { colorsOf, print, printJson } from './outputs.ts';
import { whileWaiting } from './spinner.ts';

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

  const asked = withHaproxy ? await askable(settings, problems) : { reason: '--without-haproxy is set' };

  // Whatever else is wrong, the templates are looked at.
  const { haproxyTemplates } = balanceCommand.options;
  const folder = readOptions({ haproxyTemplates }, sources, machine);
  const own = folder.ok ? folder.value.haproxyTemplates : undefined;
  if (own !== undefined) problems.push(...(await folderProblems(own)));

  const entries = (await collecting(problems, () => readEntries(operands))) ?? [];
  const wrong = new Map(entries.map((entry) => [entry, entryProblems(entry)]));
  problems.push(...[...wrong.values()].flat());
  const good = entries.filter((entry) => wrong.get(entry)?.length === 0);

  const haproxy = 'executable' in asked ? asked : undefined;
  const sample = settings && (await sampleOf(settings, packageFolder, good, haproxy));
  problems.push(...(sample?.problems ?? []));
  if (settings !== undefined && flags.has('listen')) {
    problems.push(...(await listeningFaults(settings, haproxy?.executable, sample?.config)).map(problemOf));
  }
  return {
    problems: unique(problems),
    notes: sample?.notes ?? [],
    settings: config,
    templates: own === undefined ? undefined : resolve(own),
    entries: entries.length,
    haproxy: 'version' in asked ? asked.version : undefined,
    haproxyFaults: 'version' in asked ? faultsOfVersion(asked.version).map(({ fault }) => fault.id) : [],
    notAsked: 'reason' in asked ? asked.reason : undefined,
  };
}

/** The files and folders that the settings name and that are not there. */
async function missingPaths({ balance, registry }: BalancerSettings): Promise<readonly Fault[]> {
  const folder = await folderFault(registry);
  return [
    ...(folder === undefined ? [] : [folder]),
    ...(await missingAtStart(balance)),
    ...(await missingForEtcd(registry)),
  ];
}

async function readFile(path: string): Promise<SettingsFile> {
  return (await import('../settings/yaml-file.ts')).readYamlFile(path);
}

/** The result of the action; undefined: its error was added to the problems. */
async function collecting<T>(problems: Problem[], action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    problems.push(...faultsOf(error).map(problemOf));
    return undefined;
  }
}

/** One that was named has to be there. */
async function askable(
  settings: BalanceSettings | undefined,
  problems: Problem[],
): Promise<{ readonly executable: string; readonly version: string } | { readonly reason: string }> {
  if (settings === undefined) return { reason: 'the settings are wrong' };
  const { haproxy } = settings;
  const executable = (haproxy.mode === 'command' ? undefined : haproxy.executable) ?? 'haproxy';
  try {
    return { executable, version: await readVersion(executable) };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'haproxy-missing') throw error;
    if (executable !== 'haproxy') problems.push(problemOf(error));
    return { reason: error.message };
  }
}

async function sampleOf(
  settings: BalanceSettings,
  packageFolder: string,
  entries: readonly EntryFile[],
  haproxy: SampleParts['haproxy'],
): Promise<SampleResult> {
  const problems: Problem[] = [];
  const shippedForHaproxy = join(packageFolder, 'haproxy');
  const templates = await collecting([], () => loadTemplates(join(packageFolder, 'templates'), settings.templates));
  // The problems of a template were printed before.
  if (templates === undefined) return { problems: [], notes: [] };
  const found = await collecting(problems, () =>
    trySample({ settings, templates, entries, haproxy, shippedForHaproxy }),
  );
  return found ?? { problems, notes: [] };
}

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
