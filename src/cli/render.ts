import { dirname, join, resolve } from 'node:path';
import { locatingOf, lookUpNames } from '../balance/addresses/address-preview.ts';
import { baseSettingsOf } from '../balance/base-settings.ts';
import { type Preview, type PreviewedPlan, preview, previewPlan, readStanding } from '../balance/preview/preview.ts';
import { PreviewedCatalog } from '../balance/preview/previewed-catalog.ts';
import { pathsOf } from '../balance/state/paths.ts';
import type { Catalog, Unserved } from '../catalog/catalog.ts';
import { endOverrides } from '../catalog/fold-event.ts';
import { overrideEnd } from '../catalog/overrides.ts';
import { unifiedDiff } from '../files/unified-diff.ts';
import { makeFolder } from '../fs/make-folder.ts';
import { replaceFile } from '../fs/replace-file.ts';
import { Fault } from '../model/fault.ts';
import { showKey } from '../model/parsed.ts';
import { catalogKeys, type Registry, type RegistryEvent } from '../registry/registry.ts';
import { loadTemplates } from '../render/load-templates.ts';
import { configWriter } from '../render/render.ts';
import { formatRoutes } from '../render/routes.ts';
import { type RenderSettings, renderCommand } from '../settings/render.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { createLogger } from './logger.ts';
import { openForeignRegistry } from './open-layout.ts';
import { openRegistry } from './open-registry.ts';
import { colorsOf, print, printJson, warn } from './outputs.ts';
import { paintedDiff } from './painted-diff.ts';
import { abortOnSignal } from './signals.ts';
import { whileWaiting } from './spinner.ts';

/** How long the registry may take to say what it holds, in ms. */
const firstReadMs = 10_000;

export async function run(invocation: Invocation): Promise<number> {
  return render(await readInvocation(renderCommand, invocation), invocation.packageFolder);
}

/** Shows, and does nothing of it; `packageFolder` has the shipped templates. */
export async function render(settings: RenderSettings, packageFolder: string): Promise<number> {
  const { what, json, layout: foreign } = settings;
  const logger = await createLogger({ level: 'error', format: 'auto' });
  const [now, wall] = [() => performance.now(), () => new Date()];
  const { signal, dispose } = abortOnSignal();
  const layout = pathsOf(resolve(settings.balance.dir));
  const baseSettings = baseSettingsOf(settings.balance, layout);
  const templates = await loadTemplates(join(packageFolder, 'templates'), settings.balance.templates);
  const standing = await readStanding(layout, settings.balance, { now: now(), wall: wall(), logger });
  const registry =
    foreign === undefined
      ? await openRegistry(settings.registry, logger)
      : await openForeignRegistry(settings.registry, foreign, logger);
  let served = standing.served;
  const locating = locatingOf(settings.balance, standing.served, logger);
  const view = { standing, settings: settings.balance, location: registry.location, now, wall, logger };
  const heard = listen(registry, view, signal);
  const guarded = (catalog: Catalog) => heard.previewed.guarded(catalog);
  const [located, permitted] = [locating.located.bind(locating), locating.permitted.bind(locating)];
  // The ejections of a running balancer are not on disk.
  const ejected = (catalog: Catalog) => catalog;
  const stages = { guarded, ejected, located, permitted, templates };
  const lookedUp = async (known: Catalog): Promise<Catalog> => {
    const catalog = withoutOver(known, Date.now());
    await lookUpNames(locating, guarded(catalog), standing.served);
    return catalog;
  };
  const show = async (known: Catalog): Promise<void> => {
    const catalog = await lookedUp(known);
    const found = await preview({ ...standing, served }, catalog, stages, baseSettings);
    const plan = previewPlan(served, found.desired, standing.abilities, layout);
    served = found.desired;
    if (json) printJson(asJson(catalog, found, plan));
    else print(describePlan(catalog, plan));
  };
  try {
    const known = await whileWaiting(`reading ${registry.location}`, () => heard.first);
    const catalog = await whileWaiting('looking up the host names of instances', () => lookedUp(known));
    warnOf(catalog, [...locating.unserved()]);
    switch (what.kind) {
      case 'print':
        printConfig(await preview(standing, catalog, stages, baseSettings), json);
        break;
      case 'write':
        await write(await preview(standing, catalog, stages, baseSettings), resolve(what.folder));
        break;
      case 'diff':
        await show(known);
        break;
      case 'watch':
        await show(known);
        for await (const changed of heard.changes()) await show(changed);
    }
    await heard.close();
  } finally {
    locating.close();
    await registry.close();
    dispose();
  }
  return done;
}

/** Without the overrides that are over. */
function withoutOver(catalog: Catalog, wall: number): Catalog {
  const over = [...catalog.overrides].flatMap(([service, scopes]) =>
    [...scopes]
      .filter(([, override]) => (overrideEnd(override, false, { now: 0, wall }) ?? 1) <= 0)
      .map(([scope, override]) => ({ service, scope, override })),
  );
  return over.length === 0 ? catalog : endOverrides(catalog, over).catalog;
}

/** The catalog once it is known, and each that differs from the one before. All events that come while one is shown are one change. */
function listen(
  registry: Registry,
  view: Omit<ConstructorParameters<typeof PreviewedCatalog>[0], 'onChange'>,
  signal: AbortSignal,
) {
  let trouble = `it did not report what it holds within ${firstReadMs} ms`;
  let changed = false;
  let wake = (): void => undefined;
  const next = () =>
    new Promise<void>((settled) => {
      wake = settled;
    });
  let known = (_: Catalog): void => undefined;
  let unknown = (_: Fault): void => undefined;
  const first = new Promise<Catalog>((settled, failed) => {
    known = settled;
    unknown = failed;
  });
  const giveUp = () =>
    unknown(new Fault('registry-unreachable', `nothing can be rendered: ${trouble}`, { where: '--registry' }));
  const timer = setTimeout(giveUp, firstReadMs);
  const previewed = new PreviewedCatalog({
    ...view,
    // Held entries are a warning for people.
    logger: view.logger.child({}, { level: 'silent' }),
    onChange: () => {
      changed = true;
      wake();
    },
  });
  const follower = registry.follow((event: RegistryEvent) => {
    if (event.kind === 'disconnected') trouble = event.reason;
    previewed.take(event);
    if (event.kind === 'snapshot') known(previewed.catalog);
  }, catalogKeys);
  const stop = () => {
    giveUp();
    wake();
  };
  signal.addEventListener('abort', stop, { once: true });
  return {
    previewed,
    first: first.finally(() => {
      clearTimeout(timer);
      changed = false;
    }),
    async *changes(): AsyncGenerator<Catalog> {
      while (!signal.aborted) {
        if (changed) {
          changed = false;
          yield previewed.catalog;
        } else await next();
      }
    },
    async close(): Promise<void> {
      previewed.close();
      await follower.close();
    },
  };
}

function printConfig({ desired, problems }: Preview, json: boolean): void {
  const [config, routes] = [configWriter()(desired), formatRoutes(desired.routes)];
  if (json) {
    printJson({ config, routes, problems });
    return;
  }
  // Comments, so that the whole is a haproxy.cfg.
  const map = routes.split('\n').filter(Boolean);
  process.stdout.write(`${config}\n# maps/routes.map\n${map.map((line) => `#   ${line}\n`).join('')}`);
}

async function write({ desired }: Preview, folder: string): Promise<void> {
  const files = [
    [join(folder, 'haproxy.cfg'), configWriter()(desired)],
    [join(folder, 'maps', 'routes.map'), formatRoutes(desired.routes)],
    // Empty: the balancer alone keeps the limits of the fleet.
    [join(folder, 'maps', 'rates.map'), ''],
  ] as const;
  for (const [path, text] of files) {
    await makeFolder(dirname(path));
    await replaceFile(path, text);
    process.stdout.write(`${path}\n`);
  }
}

function warnOf({ accepted, rejected }: Catalog, unserved: readonly Unserved[]): void {
  const held = accepted.count((entry) => entry.held !== undefined);
  if (held > 0) {
    const entries = held === 1 ? '1 entry is' : `${held} entries are`;
    warn(`${entries} held that the registry no longer has (pointsman release SERVICE, or --all)`);
  }
  const all = [...rejected.values(), ...unserved];
  for (const { key, reason } of all.slice(0, 10)) warn(`${showKey(key)}: ${reason}`);
  if (all.length > 10) warn(`and ${all.length - 10} more entries that are not served`);
}

function asJson({ revision }: Catalog, { problems, conflicts }: Preview, { steps, reload, files }: PreviewedPlan) {
  return { revision: String(revision), steps, reload, diff: files.map(unifiedDiff).join(''), problems, conflicts };
}

function describePlan({ revision }: Catalog, { steps, reload, files }: PreviewedPlan): string {
  const colors = colorsOf(process.stdout);
  const commands = steps.length === 0 ? 'no command' : `${steps.length} command${steps.length === 1 ? '' : 's'}`;
  const lines = [
    colors.bold(`revision ${revision}: ${commands}, ${reload.length === 0 ? 'no reload' : 'a reload'}`),
    ...steps.map(
      (step) => `  ${step.startsWith('del ') || / state maint$/.test(step) ? colors.red(step) : colors.green(step)}`,
    ),
    ...reload.map((reason) => `  ${colors.yellow('reload')}: ${reason}`),
  ];
  const diff = paintedDiff(files.map(unifiedDiff).join(''), colors);
  return `${[...lines, diff].join('\n').trimEnd()}\n`;
}
