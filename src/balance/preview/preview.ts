import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Catalog } from '../../catalog/catalog.ts';
import { parseConfig } from '../../haproxy/config-file.ts';
import { readProcesses } from '../../haproxy/master.ts';
import { type Abilities, planChanges } from '../../haproxy/plan.ts';
import { describeReason } from '../../haproxy/reload-reason.ts';
import { RuntimeLink } from '../../haproxy/runtime-link.ts';
import { describeStep } from '../../haproxy/step.ts';
import { allDirty } from '../../model/dirty-set.ts';
import type { BaseSettings } from '../../render/base-view.ts';
import { certifiedIn } from '../../render/certificate-keys.ts';
import type { Conflict } from '../../render/conflict.ts';
import {
  configWriter,
  type RenderProblem,
  type RenderResult,
  renderAll,
  type Templating,
  withoutUnusedPolicies,
} from '../../render/render.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';
import { formatRoutes } from '../../render/routes.ts';
import type { BalanceSettings } from '../../settings/balance.ts';
import { type GuardedInstances, loadGuardedInstances } from '../guard/guarded-instances-file.ts';
import { effectiveCatalog, quarantinedCatalog, type Stages } from '../pipeline/effective-catalog.ts';
import type { RefusedBuild } from '../quarantine/candidates.ts';
import { unrenderable } from '../quarantine/find-offenders.ts';
import { noQuarantine, type Quarantine, type Requested, withOffenders } from '../quarantine/quarantine.ts';
import { loadQuarantine } from '../quarantine/quarantine-file.ts';
import { review } from '../quarantine/review.ts';
import { type LastKnown, loadLastKnown } from '../state/last-known.ts';
import type { BalancePaths } from '../state/paths.ts';

/** The state of a balancer, from its folder. */
export type Standing = {
  /** Undefined: no balancer ever ran in the folder. */
  readonly served: Rendered | undefined;
  readonly quarantine: Quarantine;
  /** Undefined: the balancer saved no catalog, or the file is unusable. */
  readonly lastKnown: LastKnown | undefined;
  readonly guarded: readonly GuardedInstances[];
  readonly abilities: Abilities;
};

export type Preview = {
  /** The effective catalog that was rendered. */
  readonly catalog: Catalog;
  /** The quarantine that it was rendered with. */
  readonly quarantine: Quarantine;
  readonly desired: Rendered;
  readonly problems: readonly RenderProblem[];
  readonly conflicts: readonly Conflict[];
};

export type PreviewedPlan = {
  readonly steps: readonly string[];
  /** The reasons for a reload; empty: none is needed. */
  readonly reload: readonly string[];
  readonly files: readonly { readonly dest: string; readonly before: string | undefined; readonly after: string }[];
};

const answerMs = 2000;

/** Reads a balancer's folder, and asks its HAProxy if one runs. Changes nothing. */
export async function readStanding(
  paths: BalancePaths,
  { limits, holding: { holdMs } }: Pick<BalanceSettings, 'limits' | 'holding'>,
  { now, wall, logger }: { readonly now: number; readonly wall: Date; readonly logger: Logger },
): Promise<Standing> {
  const served = await readServed(paths);
  const loaded = await loadLastKnown(paths.lastKnown, limits, { now, wall, holdMs });
  const lastKnown = loaded === undefined || 'unusable' in loaded ? undefined : loaded;
  const quarantine = lastKnown && (await loadQuarantine(paths.quarantine, lastKnown.catalog));
  const guarded = await loadGuardedInstances(paths.holds, wall);
  return {
    served,
    lastKnown,
    guarded: 'unusable' in guarded ? [] : guarded,
    quarantine: quarantine === undefined || 'unusable' in quarantine ? noQuarantine : quarantine,
    abilities: await readAbilities(paths, logger),
  };
}

/** Renders a catalog as the balancer with this state would. Rejects with Fault `template`. */
export function preview(
  { served, quarantine }: Pick<Standing, 'served' | 'quarantine'>,
  overridden: Catalog,
  stages: Omit<Stages, 'quarantine'>,
  baseSettings: BaseSettings,
): Promise<Preview> {
  const before = served ?? nothingRendered;
  const catalog = { ...overridden, certified: certifiedIn(before.routes, baseSettings) };
  const { requested } = effectiveCatalog(catalog, { ...stages, quarantine });
  return previewRequested(requested, {
    quarantine: review(quarantine, requested).quarantine,
    permitted: stages.permitted,
    baseSettings,
    before: { desired: before, served: before },
    render: async (templating, catalog) => renderAll(templating, baseSettings, before, catalog),
  });
}

type PreviewParts = Pick<Stages, 'quarantine' | 'permitted'> & {
  readonly baseSettings: BaseSettings;
  readonly before: Pick<RefusedBuild, 'desired' | 'served'>;
  readonly render: (templating: Templating, catalog: Catalog) => Promise<RenderResult>;
};

/** Renders what is requested, with last good forms for what no template can render. Rejects with Fault `template`. */
export async function previewRequested(
  requested: Requested,
  { quarantine, permitted, baseSettings, before, render }: PreviewParts,
): Promise<Preview> {
  const make = async (used: Quarantine) => {
    const { catalog, templating, refused } = quarantinedCatalog(requested, { quarantine: used, permitted });
    const { rendered, problems, conflicts = [] } = await render(templating, catalog);
    const desired = withoutUnusedPolicies(templating, baseSettings, rendered);
    return { catalog, quarantine: used, desired, problems: [...problems, ...refused], conflicts };
  };
  const first = await make(quarantine);
  const build = { requested, ...before, cold: false };
  const offenders = unrenderable(quarantine, build, first.problems, baseSettings);
  if (offenders.size === 0) return first;
  // The preview shows why these cannot be rendered, and renders the rest as a balancer with them in quarantine does.
  return { ...(await make(withOffenders(quarantine, offenders, build))), problems: first.problems };
}

/** The commands, the reload and the files that take HAProxy from `served` to `desired`. */
export function previewPlan(
  served: Rendered | undefined,
  desired: Rendered,
  abilities: Abilities,
  paths: BalancePaths,
): PreviewedPlan {
  const write = configWriter();
  const files = [
    { dest: paths.config, before: served && write(served), after: write(desired) },
    { dest: paths.routesMap, before: served && formatRoutes(served.routes), after: formatRoutes(desired.routes) },
  ];
  if (served === undefined) return { steps: [], reload: ['HAProxy starts'], files };
  const dirty = allDirty([...served.backends.keys(), ...desired.backends.keys()]);
  const { steps, reload } = planChanges(served, desired, dirty, new Map(), abilities);
  return { steps: steps.map(describeStep), reload: reload.map(describeReason), files };
}

async function readServed({ config, routesMap }: BalancePaths): Promise<Rendered | undefined> {
  const text = await readFile(config, 'utf8').catch(() => undefined);
  const routes = await readFile(routesMap, 'utf8').catch(() => '');
  return text === undefined ? undefined : parseConfig(text, routes);
}

/** Asks the running HAProxy what it can do. Where none runs, the preview assumes the least. */
async function readAbilities(
  { masterSocket, runtimeSocket, routesMap }: BalancePaths,
  logger: Logger,
): Promise<Abilities> {
  const link = new RuntimeLink({ socket: runtimeSocket, masterSocket, routesMap, logger, onLost: () => undefined });
  const pid = (await readProcesses(masterSocket, answerMs))?.workerPid;
  if (pid === undefined) return link.abilities;
  try {
    await link.connect(pid, pause);
  } catch (error) {
    logger.debug({ event: 'not-asked', reason: String(error) }, 'pointsman cannot read the capabilities of HAProxy');
  }
  link.close();
  return link.abilities;
}
