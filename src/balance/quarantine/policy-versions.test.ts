import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { baseSettings } from '../../../test/support/base-settings.ts';
import { ModelHaproxy } from '../../../test/support/model-haproxy.ts';
import {
  history,
  mostRouteCommands,
  names,
  type Round,
  requests,
  slices,
  type Version,
} from '../../../test/support/policy-histories.ts';
import { choices, lookUp, routesOf, type Versions } from '../../../test/support/policy-versions.ts';
import { type Catalog, emptyCatalog } from '../../catalog/catalog.ts';
import { foldEvent } from '../../catalog/fold-event.ts';
import type { Service } from '../../catalog/service.ts';
import { afterStep, type Plan, planChanges } from '../../haproxy/plan.ts';
import type { ReloadReason } from '../../haproxy/reload-reason.ts';
import { commandsOf, outcomeOf, type Step } from '../../haproxy/step.ts';
import { closing, inTurns } from '../../haproxy/turns.ts';
import { allDirty } from '../../model/dirty-set.ts';
import type { ServiceName } from '../../model/name.ts';
import { revision } from '../../model/revision.ts';
import { stateKey } from '../../model/route-target.ts';
import { loadTemplates } from '../../render/load-templates.ts';
import { policyRenderer } from '../../render/policies.ts';
import { renderAll } from '../../render/render.ts';
import { nothingRendered, type Rendered } from '../../render/rendered.ts';

const templates = await loadTemplates(join(import.meta.dirname, '../../../templates'), undefined);
const render = (previous: Rendered, catalog: Catalog) => renderAll(templates, baseSettings, previous, catalog).rendered;
const sectionOf = policyRenderer(templates.policy, baseSettings);

type Policies = (service: string) => string | undefined;

function outcome(routes: ReadonlyMap<string, string>, policies: Policies, host: string, path: string): string {
  const target = lookUp(routes, host, path);
  if (target === undefined) return 'not found';
  const [service = ''] = target.split('/');
  if (routes.get(stateKey(service as ServiceName)) === 'maintenance') return `${service} in maintenance`;
  return `${target} by ${policies(service)}`;
}

/** All that a request may be answered when each service has any one of its versions. */
function explained(versions: Versions, host: string, path: string) {
  const outcomes = new Set<string>();
  for (const chosen of choices(versions)) {
    const text = ({ policy }: Service) => `${sectionOf(policy).name} ${policy.maxconn}`;
    const policies = new Map(chosen.map((service) => [service.name as string, text(service)]));
    outcomes.add(outcome(new Map(routesOf(chosen)), (name) => policies.get(name), host, path));
    // Of a version that begins or ends with maintenance, that is seen first and last.
    for (const name of names) {
      const maintained = versions.get(name)?.some((one) => one?.policy.maintenance) === true;
      const routes = new Map(routesOf(chosen));
      if (maintained) routes.set(stateKey(name as ServiceName), 'maintenance' as never);
      if (lookUp(routes, host, path)?.split('/')[0] === name && maintained) outcomes.add(`${name} in maintenance`);
    }
  }
  return outcomes;
}

class World {
  catalog: Catalog = emptyCatalog;
  desired = render(nothingRendered, emptyCatalog);
  served = this.desired;
  readonly model: ModelHaproxy;
  /** Of each service, the version that was last served whole and those that were asked for since. */
  versions = new Map<string, readonly (Service | undefined)[]>(names.map((name) => [name, [undefined]]));
  readonly #addBackend: boolean;
  readonly #mostRouteCommands: number;
  /** How many steps are done before all is planned again. */
  readonly #slice: number;
  readonly #requested = new Map<string, Version>(names.map((name) => [name, undefined]));
  #good: ReadonlyMap<string, Version> = new Map(this.#requested);
  /** Since all was served whole. */
  #isObstructed = false;
  #at = 1n;
  /** When each key was put first. */
  #created = new Map<string, bigint>();
  #createdOfGood: ReadonlyMap<string, bigint> = new Map();

  constructor(addBackend: boolean, mostRouteCommands: number, slice: number) {
    this.#slice = slice;
    this.#addBackend = addBackend;
    this.#mostRouteCommands = mostRouteCommands;
    this.model = new ModelHaproxy(addBackend);
    this.model.load(this.served);
  }

  ask(changes: Readonly<Record<string, Version>>): void {
    this.#at += 1n;
    for (const [name, version] of Object.entries(changes)) this.#requested.set(name, version);
    const list = Object.entries(changes).flatMap(([name, policy]) =>
      [
        [`services/${name}`, policy === undefined ? undefined : JSON.stringify(policy)] as const,
        [`instances/${name}/i`, policy === undefined ? undefined : '10.0.0.1:80'] as const,
      ].map(([key, value]) => {
        const at = revision(this.#at);
        if (value === undefined) {
          this.#created.delete(key);
          return { kind: 'delete', key, revision: at } as const;
        }
        const created = revision(this.#created.get(key) ?? this.#at);
        this.#created.set(key, created);
        return { kind: 'put', entry: { key, value, revision: at, created, leased: false } } as const;
      }),
    );
    const event = { kind: 'changes', revision: revision(this.#at), changes: list } as const;
    this.catalog = foldEvent(this.catalog, event).catalog;
    expect([...this.catalog.rejected.values()]).toEqual([]);
    this.desired = render(this.desired, this.catalog);
    for (const [name, known] of this.versions)
      this.versions.set(name, [...known, this.catalog.services.get(name as ServiceName)]);
  }

  /** Does what is planned, and holds each moment of it against the versions. */
  perform(obstructed: boolean): Plan['reload'] {
    const see = this.#observe(obstructed);
    const reasons: ReloadReason[] = [];
    let left: readonly Step[];
    do {
      const { steps, reload } = this.#plan(obstructed);
      const ordered = this.#slice < steps.length ? inTurns(steps, this.served.routes, 1) : steps;
      const done = ordered.slice(0, this.#slice);
      const { now, later } = closing(done, ordered.slice(this.#slice));
      this.#run([...done, ...now], see);
      reasons.push(...reload);
      left = later;
    } while (left.length > 0);
    see('after all steps');
    if (reasons.length === 0) this.#whole();
    return reasons;
  }

  #plan(obstructed: boolean): Plan {
    const dirty = allDirty(new Set([...this.served.backends.keys(), ...this.desired.backends.keys()]));
    return planChanges(this.served, this.desired, dirty, new Map(), {
      addBackend: this.#addBackend,
      deletes: true,
      mostRouteCommands: this.#mostRouteCommands,
      obstructed,
    });
  }

  /** Holds what requests see against the versions. */
  #observe(obstructed: boolean): (when: string) => void {
    this.#isObstructed ||= obstructed;
    const allowed = requests.map(({ host, path }) => explained(this.versions, host, path));
    // A service that is gone has no server to wait with, and while no reload can be done what is taken away is gone.
    const isGone = [...this.versions.values()].some((all) => all.length > 1 && all.includes(undefined));
    for (const outcomes of allowed) {
      if (this.#isObstructed || isGone) outcomes.add('not found');
      // Its routes may have hidden others, of which the map does not tell what they would strip.
      if (isGone)
        for (const one of [...outcomes])
          for (const stripped of ['', '/1', '/2']) outcomes.add(one.replace(/(\/\d)? by /, `${stripped} by `));
    }
    return (when: string) => {
      for (const [i, { host, path }] of requests.entries()) {
        const seen = this.answer(host, path);
        if (allowed[i]?.has(seen) !== true)
          throw new Error(`${when}, ${host}${path}: ${seen}, and not ${[...(allowed[i] ?? [])].join(', ')}`);
      }
    };
  }

  #run(steps: readonly Step[], see: (when: string) => void): void {
    for (const step of steps) {
      for (const { text, judge: by } of commandsOf(step, 'routes.map')) {
        const answer = this.model.run(text);
        expect(outcomeOf([{ text, judge: by }], [answer])).toEqual({ kind: 'done' });
        see(`after ${text}`);
      }
      this.served = afterStep(this.served, this.desired, step);
    }
  }

  load(): void {
    this.served = this.desired;
    this.model.load(this.served);
    this.#whole();
  }

  /** The asked-for policies are refused: those that were last served whole are asked for again. */
  refuse(): void {
    this.#created = new Map(this.#createdOfGood);
    this.ask(Object.fromEntries(this.#good));
  }

  answers = (): readonly string[] => requests.map(({ host, path }) => this.answer(host, path));

  answer(host: string, path: string): string {
    const policies = (name: string) => {
      const backend = this.model.backends.get(name);
      if (backend === undefined) throw new Error(`${host}${path} leads to ${name}, which is not there`);
      const [server] = backend.servers.values();
      return `${backend.policy} ${/maxconn (\d+)/.exec(server?.keywords ?? '')?.[1]}`;
    };
    return outcome(this.model.routes, policies, host, path);
  }

  #whole(): void {
    this.#good = new Map(this.#requested);
    this.#createdOfGood = new Map(this.#created);
    this.#isObstructed = false;
    for (const name of this.versions.keys()) this.versions.set(name, [this.catalog.services.get(name as ServiceName)]);
  }
}

const only = { access: { allow: ['10.0.0.0/8'] } };
/** Histories that random ones found faults with. */
const found: [rounds: readonly Round[], most: 0 | 2 | 10_000, slice: 1 | 2 | 3 | 5 | 10_000][] = [
  // A route that is added hides, for the route that is removed, one that waits.
  [
    [
      {
        changes: {
          api: { routes: [{ hosts: ['a.example'] }] },
          web: { ...only, routes: [{ hosts: ['b.example'], priority: 1 }] },
        },
        end: 'reload',
      },
      {
        changes: {
          api: { routes: [{ hosts: ['*'], paths: ['/x/y'], strip: true }] },
          web: { ...only, routes: [{ hosts: ['*'] }] },
        },
        end: 'obstructed',
      },
    ],
    0,
    10_000,
  ],
];

test.each([true, false])(
  'at every moment a request sees one whole version of each policy, on a model of HAProxy (add backend: %s)',
  { timeout: 600_000 },
  (addBackend) => {
    fc.assert(
      fc.property(history, mostRouteCommands, slices, (rounds, most, slice) => {
        const world = new World(addBackend, most, slice);
        for (const { changes, end } of rounds) {
          const before = world.versions.get('web')?.length === 1 ? world.answers() : undefined;
          world.ask(changes);
          const reload = world.perform(false);
          if (reload.length === 0) {
            expect([...world.model.routes].sort()).toEqual([...world.desired.routes].sort());
            continue;
          }
          if (end === 'obstructed') world.perform(true);
          if (end === 'reload') world.load();
          if (end === 'refused') {
            world.refuse();
            const again = world.perform(false);
            if (before !== undefined && again.length === 0) expect(world.answers()).toEqual(before);
          }
        }
        world.load();
      }),
      // The same histories each time, unless more are asked for.
      process.env['HISTORIES'] === undefined
        ? { numRuns: 25 + found.length, seed: 18, examples: found }
        : { numRuns: Number(process.env['HISTORIES']) },
    );
  },
);
