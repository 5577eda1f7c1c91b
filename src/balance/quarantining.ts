import type { Logger } from 'pino';
import type { Catalog } from '../catalog/catalog.ts';
import { replaceFile } from '../files/replace-file.ts';
import type { Refusal } from '../fleet/acknowledgement.ts';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { allTouched, type Touched } from '../model/touched.ts';
import {
  type Rendered,
  type RenderProblem,
  renderAll,
  renderTouched,
  type Templates,
  type Templating,
  withoutUnusedPolicies,
} from '../render/render.ts';
import type { FrameSettings } from '../render/view.ts';
import { blame, type Named } from './blame.ts';
import { type Answer, findCulprits } from './culprits.ts';
import type { BalanceMetrics } from './metrics.ts';
import {
  type Asked,
  formToHold,
  hold,
  instanceSuspect,
  noQuarantine,
  proven,
  type Quarantine,
  type Reviewed,
  review,
  type Suspect,
  serviceSuspect,
  templateChanged,
  templateRoles,
  templateSuspect,
  templatesInUse,
  tryAgain,
  withHeld,
  withHeldInstances,
  withoutMended,
} from './quarantine.ts';
import { formatQuarantine, loadQuarantine } from './quarantine-file.ts';
import type { CheckedConfig, StateFiles } from './state-files.ts';
import type { Storage } from './storage.ts';

export type QuarantiningParts = {
  readonly files: StateFiles;
  readonly frame: FrameSettings;
  readonly metrics: BalanceMetrics;
  readonly storage: Storage;
  readonly logger: Logger;
  /** Where what is held outlives us. */
  readonly path: string;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** When those that are held are first asked about, in ms; ever more seldom later. */
  readonly probeMs: number;
};

/** Something that HAProxy refuses as it is asked for, for `/status`. */
export type QuarantineStatus = {
  readonly key: string;
  readonly reason: string;
  readonly revision: string;
  /** What is served instead. */
  readonly serves: 'last-good' | 'nothing';
};

type Refused = Extract<CheckedConfig, { ok: false }>;

/** What a configuration that HAProxy refused was made of. */
export type Suspicion = {
  readonly asked: Asked;
  readonly desired: Rendered;
  readonly served: Rendered;
  /** HAProxy does not run: what cannot be had in a good form is left out, so that the others are served. */
  readonly cold: boolean;
};

// A check takes 60 ms with 1,000 servers and 260 ms with 10,000.
const mostChecks = 24;
const searchMs = 10_000;
const mostProbeMs = 300_000;
/** More services than these that a changed template made refused, and it is the template. */
const mostForOneTemplate = 8;

/** Holds what HAProxy refuses in its last good form, so that everything else goes on. */
export class Quarantining {
  readonly #parts: QuarantiningParts;
  #state: Quarantine = noQuarantine;
  #saved: string | undefined;
  /** Since something was held last. */
  #probes = 0;
  #saving: Promise<void> = Promise.resolve();

  constructor(parts: QuarantiningParts) {
    this.#parts = parts;
  }

  /** Takes over what an earlier run held, beside the last known catalog. */
  async load(catalog: Catalog): Promise<void> {
    const loaded = await loadQuarantine(this.#parts.path, catalog);
    if (loaded === undefined) return;
    if ('unusable' in loaded) {
      this.#parts.logger.warn(
        { event: 'quarantine-unusable', reason: loaded.unusable },
        'its last good forms are lost',
      );
      return;
    }
    this.#state = loaded;
    this.#count();
  }

  status(): readonly QuarantineStatus[] {
    const { templates, services, instances } = this.#state;
    const of = (
      key: string,
      { reason, revision }: { reason: string; revision: bigint },
      good: boolean,
    ): QuarantineStatus => ({
      key,
      reason,
      revision: String(revision),
      serves: good ? 'last-good' : 'nothing',
    });
    return [
      ...[...templates].map(([role, held]) => of(templateSuspect(role), held, true)),
      ...[...services].map(([name, held]) => of(serviceSuspect(name), held, held.form !== undefined)),
      ...[...instances.values()].map((held) => of(instanceSuspect(held.service, held.id), held, false)),
    ];
  }

  /** Why a template is not used; undefined when all are. */
  get refusedTemplate(): string | undefined {
    const [held] = this.#state.templates.values();
    return held?.reason;
  }

  /** For those who wait for an instance: what is not served. One of a service in its last good form is. */
  get refusals(): readonly Refusal[] {
    return [...this.#state.services]
      .filter(([, { form }]) => form === undefined)
      .map(([name, { reason }]) => ({ key: `instances/${name}/*`, reason }));
  }

  /** In how many ms those that are held are to be asked about; undefined while there are none. */
  nextProbeMs(): number | undefined {
    if (this.#state.services.size === 0) return undefined;
    const ms = Math.min(this.#parts.probeMs * 2 ** this.#probes, mostProbeMs);
    this.#probes += 1;
    return ms;
  }

  /** What is to be rendered instead of what is asked for. */
  withHeld(asked: Asked): { catalog: Catalog; templating: Templating } {
    return withHeld(this.#state, asked);
  }

  /** Tries again what changed since it was refused. */
  review(asked: Asked): Omit<Reviewed, 'quarantine'> {
    const { quarantine, services, all } = review(this.#state, asked);
    this.#become(quarantine, asked.catalog);
    return { services, all };
  }

  /** What was rendered anew, and with which problems; `touched` undefined: everything. */
  rendered(touched: Touched | undefined, problems: readonly RenderProblem[], catalog: Catalog): void {
    const wasRendered = (service: ServiceName, id: InstanceId): boolean => {
      const mark = touched?.get(service);
      return touched === undefined || mark?.whole === true || mark?.instances.has(id) === true;
    };
    this.#become(withoutMended(this.#state, wasRendered, problems), catalog);
  }

  /** `desired` with the held instances as they are served, or without them. */
  withHeldInstances(desired: Rendered, served: Rendered): Rendered {
    return withHeldInstances(this.#state, desired, served);
  }

  /** HAProxy serves what was made of this. */
  proven(asked: Asked): void {
    const before = this.#state.good?.templates;
    const released = [...this.#state.onTrial.keys()];
    this.#become(proven(this.#state, asked), asked.catalog);
    if (released.length > 0 || before !== this.#state.good?.templates) void this.save(asked.catalog);
  }

  /** A template cannot even be rendered. False when there is no good one to hold it in. */
  holdFrame(asked: Asked, desired: Rendered, reason: string): boolean {
    if (!templateChanged(this.#state, asked.templates, 'frame')) return false;
    this.#hold(new Map([[templateSuspect('frame'), reason]]), { asked, desired });
    return true;
  }

  /** Finds those for whom HAProxy refused this, and holds them. False when it is nobody that can be held. */
  async isolate(refused: Refused, suspicion: Suspicion): Promise<boolean> {
    const { asked, desired, served } = suspicion;
    const { logger, now } = this.#parts;
    const started = now();
    const suspects = this.#suspects(suspicion);
    const answers = this.#answering(suspicion);
    const verdict = await findCulprits<Suspect>({
      suspects,
      first: { ok: false, reason: refused.reason, named: answers(refused, desired) },
      ask: async (held): Promise<Answer<Suspect>> => {
        const reasons = new Map([...held].map((suspect) => [suspect, '']));
        const rendered = this.#compose(hold(this.#state, reasons, { asked, desired }), asked, desired, served);
        const checked = await this.#parts.files.check(rendered, { keep: false });
        if (checked.ok) return checked;
        return { ok: false, reason: checked.reason, named: answers(checked, rendered) };
      },
      most: mostChecks,
      patient: () => now() - started < searchMs,
    });
    const ms = Math.round(now() - started);
    if (verdict === undefined || this.#isEverything(verdict.culprits, suspicion)) {
      logger.debug({ event: 'nobody-to-hold', suspects: suspects.length, ms }, 'it is nobody that can be held');
      return false;
    }
    logger.debug({ event: 'culprits-found', checks: verdict.asked, suspects: suspects.length, ms });
    this.#hold(verdict.culprits, suspicion);
    await this.save(asked.catalog);
    return true;
  }

  /** Holds those that a failed reload names. False when it names nobody that can be held. */
  async holdNamed(reason: string, suspicion: Suspicion): Promise<boolean> {
    const line = /\[\/[^\]\s]*:(\d+)\]/.exec(reason)?.[1];
    const problem = { line: line === undefined ? undefined : Number(line), text: reason, reason };
    const named = this.#answering(suspicion)({ problems: [problem] }, suspicion.desired);
    if (named.size === 0) return false;
    this.#hold(named, suspicion);
    await this.save(suspicion.asked.catalog);
    return true;
  }

  /**
   * Asks whether those that are held would be taken now, for what they need from outside may have come. Gives those that
   * are to be rendered anew.
   */
  async probe(suspicion: Suspicion): Promise<readonly ServiceName[]> {
    const { asked, desired, served } = suspicion;
    let names: ReadonlySet<ServiceName> = new Set(this.#state.services.keys());
    // Some of them may be named as still bad; the others get a second chance at once.
    for (let attempt = 0; attempt < 2 && names.size > 0; attempt += 1) {
      const released = tryAgain(this.#state, names);
      const rendered = this.#compose(released, asked, desired, served, names);
      const checked = await this.#parts.files.check(rendered, { keep: false });
      if (checked.ok) {
        this.#become(released, asked.catalog);
        return [...names];
      }
      const named = blame(checked.problems, rendered, {
        holdable: (name) => names.has(name),
        hasForm: () => true,
        frameChanged: false,
      });
      const left = [...names].filter((name) => !named.has(serviceSuspect(name)));
      if (left.length === names.size) break;
      names = new Set(left);
    }
    return [];
  }

  /** Has what is held outlive us. */
  save(catalog: Catalog): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      const text = formatQuarantine(this.#state, catalog);
      if (text === undefined || text === this.#saved) return;
      try {
        await replaceFile(this.#parts.path, text, { mode: 0o600 });
        this.#saved = text;
        this.#parts.storage.worked('quarantine');
      } catch (error) {
        this.#parts.storage.failed('quarantine', error);
      }
    });
    return this.#saving;
  }

  /** `desired` with what is held by `quarantine` in its last good form. */
  #compose(
    quarantine: Quarantine,
    asked: Asked,
    desired: Rendered,
    served: Rendered,
    anew: Iterable<ServiceName> = quarantine.services.keys(),
  ): Rendered {
    const { catalog, templating } = withHeld(quarantine, asked);
    const start = withHeldInstances(quarantine, desired, served);
    const { rendered } = sameTemplates(templatesInUse(this.#state, asked.templates), templating)
      ? renderTouched(templating, this.#parts.frame, start, catalog, allTouched(anew))
      : renderAll(templating, this.#parts.frame, start, catalog);
    return withoutUnusedPolicies(templating, this.#parts.frame, rendered);
  }

  /** Everything that differs from what HAProxy took last, and can be held. */
  #suspects({ asked, desired, served, cold }: Suspicion): readonly Suspect[] {
    const suspects: Suspect[] = templateRoles
      .filter((role) => templateChanged(this.#state, asked.templates, role))
      .map(templateSuspect);
    for (const [name, backend] of desired.backends) {
      if (this.#holdable(name, { asked, desired, served, cold })) {
        suspects.push(serviceSuspect(name));
        continue;
      }
      const before = served.backends.get(name)?.servers;
      if (before === backend.servers) continue;
      for (const [id, line] of backend.servers) {
        if (before?.get(id) !== line) suspects.push(instanceSuspect(name, id));
      }
    }
    return suspects;
  }

  /** At a first start with nothing good behind it, serving nobody is no way out. */
  #isEverything(culprits: ReadonlyMap<Suspect, string>, { desired }: Suspicion): boolean {
    return (
      this.#state.good === undefined && [...desired.backends.keys()].every((name) => culprits.has(serviceSuspect(name)))
    );
  }

  #holdable(name: ServiceName, { asked, served, cold }: Suspicion): boolean {
    if (this.#state.services.has(name)) return false;
    if (formToHold(this.#state, asked, name) !== undefined) return true;
    // What HAProxy serves is not cut off because something it was made from is missing now.
    return cold || (served.backends.get(name)?.servers.size ?? 0) === 0;
  }

  /** Reads answers of HAProxy one after the other, for what one of them leaves open the next may tell. */
  #answering(suspicion: Suspicion): (refused: Pick<Refused, 'problems'>, rendered: Rendered) => Named {
    const { asked } = suspicion;
    const rules = {
      holdable: (name: ServiceName) => this.#holdable(name, suspicion),
      hasForm: (name: ServiceName) => formToHold(this.#state, asked, name) !== undefined,
      frameChanged: templateChanged(this.#state, asked.templates, 'frame'),
    };
    const roles = templateRoles.filter(
      (role) => role !== 'frame' && templateChanged(this.#state, asked.templates, role),
    );
    const seen = new Set<Suspect>();
    let answers = 0;
    return ({ problems }, rendered) => {
      const named = blame(problems, rendered, rules);
      const fresh = [...named].filter(([suspect]) => !suspect.startsWith('templates/'));
      for (const [suspect] of fresh) seen.add(suspect);
      if (fresh.length > 0) answers += 1;
      const [reason] = fresh.map(([, why]) => why);
      const all = seen.size >= rendered.backends.size;
      if (roles.length > 0 && reason !== undefined && (all || answers > 2 || seen.size > mostForOneTemplate)) {
        return new Map(roles.map((role) => [templateSuspect(role), reason]));
      }
      const holdable = ([suspect]: readonly [Suspect, string]) =>
        !suspect.startsWith('templates/') ||
        templateRoles.some(
          (role) => templateSuspect(role) === suspect && templateChanged(this.#state, asked.templates, role),
        );
      return new Map([...named].filter(holdable));
    };
  }

  #hold(culprits: ReadonlyMap<Suspect, string>, { asked, desired }: Pick<Suspicion, 'asked' | 'desired'>): void {
    this.#probes = 0;
    this.#become(hold(this.#state, culprits, { asked, desired }), asked.catalog);
  }

  /** Goes on from this state, and tells what is held that was not, and what is not any more. */
  #become(next: Quarantine, { revision }: Catalog): void {
    if (next === this.#state) return;
    const { logger } = this.#parts;
    const before = new Map(this.status().map((one) => [one.key, one]));
    const onTrial = new Set([...this.#state.onTrial.keys()].map(serviceSuspect));
    this.#state = next;
    const trial = new Set([...next.onTrial.keys()].map(serviceSuspect));
    const now = new Map(this.status().map((one) => [one.key, one]));
    for (const [key, { reason, serves, revision: at }] of now) {
      if (before.get(key)?.reason === reason) continue;
      // A template is everybody's: it is told as what concerns the whole configuration.
      if (key.startsWith('templates/')) logger.error({ event: 'config-refused', key, reason, revision: at }, reason);
      else logger.error({ event: 'quarantined', key, reason, revision: at, serves }, `${key} is held: ${reason}`);
    }
    const gone = [...before.keys(), ...onTrial].filter((key) => !now.has(key) && !trial.has(key as Suspect));
    for (const key of gone)
      logger.info({ event: 'released', key, revision: String(revision) }, `${key} is served as asked`);
    this.#count();
  }

  #count(): void {
    const { services, instances, templates } = this.#state;
    this.#parts.metrics.quarantined.set(services.size);
    this.#parts.metrics.quarantinedInstances.set(instances.size);
    this.#parts.metrics.templatesRefused.set(templates.size);
  }
}

function sameTemplates(a: Templates, b: Templates): boolean {
  return templateRoles.every((role) => a[role] === b[role]);
}
