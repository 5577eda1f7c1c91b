import type { Logger } from 'pino';
import type { Container } from '../../engine/container.ts';
import type { EngineApi } from '../../engine/engine-api.ts';
import { Fault } from '../../model/fault.ts';
import type { Registry } from '../../registry/registry.ts';
import { aborted } from '../../waiting/time-limit.ts';
import { type Announcer, declare } from '../declare.ts';
import { sameDeclaration } from '../declared-files.ts';
import type { Declared } from '../registration.ts';
import { RegistrationSet, type RegistrationSetParts } from '../registration-set.ts';
import { type LabelContext, type LabelledInstance, readLabels } from './container-labels.ts';
import type { SeenContainer } from './container-run.ts';
import { ContainerWatch, type ContainerWatchParts } from './container-watch.ts';
import type { ContainersFacts } from './containers-facts.ts';
import type { EngineRecord } from './engine-record.ts';
import { isNamedById } from './own-container.ts';
import { type Asked, type LabelledPolicies, mistakenServices, policiesFirst, withAnnounced } from './policies-first.ts'; // biome-ignore format: one line
import { Terminations, type TerminationsParts } from './terminations.ts';
import { type DeclaringContainer, type Doubled, type Want, wantedInstances } from './wanted-instances.ts';

export type ContainerAgentParts = Pick<RegistrationSetParts, 'openRegistration' | 'openDeparture'> & {
  readonly engine: EngineApi;
  readonly registry: Pick<Registry, 'read'>;
  readonly drainTimeoutMs: TerminationsParts['drainTimeoutMs'];
  readonly context: Omit<LabelContext, 'ownContainer'>;
  readonly ownId: ContainerWatchParts['ownId'];
  /** Asked from time to time: a machine's addresses change. */
  readonly announcer: () => Announcer;
  readonly logger: Logger;
  readonly record: EngineRecord;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly policies: LabelledPolicies;
};

/** How often to read this machine's addresses, in ms: no event reports a change. */
const addressesEveryMs = 5000;

/** One container that cannot be read must not hold up the policies of the others for longer, in ms. */
const firstReadMs = 10_000;

/** A container's labels as they were read: they never change, but its name, its networks and its health do. */
type Reading = DeclaringContainer & { readonly problems: readonly Fault[]; readonly asked: readonly Asked[] };

/** Announces the labelled containers of an engine, as they come, change and go. */
export class ContainerAgent {
  readonly #parts: ContainerAgentParts;
  readonly #watch: ContainerWatch;
  readonly #registrations: RegistrationSet;
  readonly #readings = new Map<string, Reading>();
  /** The logged problems of each container, so that each is logged once. */
  readonly #complaints = new Map<string, string>();
  #wanted: ReadonlyMap<string, Want> = new Map();
  /** The container of each wanted or present registration. One that was renamed while it leaves has registrations under both names. */
  readonly #containers = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #due = false;
  #warnedOfHostname = false;
  #over = false;
  /** Whether an instance waits for its policy. */
  #holds = false;
  readonly #terminations: Terminations;
  #onUpdated: () => void = () => undefined;

  constructor(parts: ContainerAgentParts) {
    const { engine, logger, record, random, ownId } = parts;
    this.#parts = parts;
    this.#registrations = new RegistrationSet({
      ...parts,
      openRegistration: (declared, hooks) => parts.openRegistration(declared, hooks, this.#containerOf(declared)),
      onGone: () => this.#schedule(),
      onAnnounced: () => this.#schedule(),
    });
    parts.policies.whenSettled(() => {
      if (this.#holds) this.#schedule();
    });
    this.#terminations = new Terminations(parts);
    this.#watch = new ContainerWatch({ engine, logger, record, random, ownId, onChange: () => this.#schedule() });
  }

  begin(): void {
    this.#watch.begin();
    this.#timer = setInterval(() => {
      this.#readings.clear();
      this.#schedule();
    }, addressesEveryMs);
  }

  /** The present registrations, by `service/id`. */
  get registrations(): RegistrationSet['all'] {
    return this.#registrations.all;
  }

  /** For metrics and readiness. */
  get state(): ContainersFacts {
    const { engine, record, policies } = this.#parts;
    const stages = { up: 0, leaving: 0, left: 0, ending: 0 };
    for (const { stage } of this.#watch.seen.values()) stages[stage] += 1;
    return {
      engine: { location: engine.location, ...record.state, missed: record.missed },
      stages,
      refused: [...this.#complaints.values()].filter((text) => text !== '').length,
      policies: policies.state(),
    };
  }

  /** Resolves when no container waits for its instances to leave any more, or `signal` aborts: nobody else would end its application. */
  async settled(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && [...this.#watch.seen.values()].some(({ stage }) => stage === 'leaving')) {
      const updated = new Promise<void>((resolve) => {
        this.#onUpdated = resolve;
      });
      await Promise.race([updated, aborted(signal)]);
    }
    await Promise.race([this.#terminations.idle(), aborted(signal)]);
  }

  /** Stops to follow the engine: from now on the registrations stay as they are. */
  async freeze(): Promise<void> {
    this.#over = true;
    clearInterval(this.#timer);
    await this.#watch.stop();
  }

  /** Leaves the registry as it is. Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    const terminated = this.#terminations.stop();
    await this.freeze();
    await Promise.all([this.#registrations.stop(), this.#parts.policies.close(), terminated]);
  }

  /** Many events that arrive together are one change. */
  #schedule(): void {
    if (this.#due) return;
    this.#due = true;
    setImmediate(() => {
      this.#due = false;
      if (!this.#over) this.#update();
    });
  }

  #update(): void {
    this.#warnOfHostname();
    const { seen } = this.#watch;
    for (const id of this.#readings.keys()) if (!seen.has(id)) this.#readings.delete(id);
    for (const id of this.#complaints.keys()) if (!seen.has(id)) this.#complaints.delete(id);
    let announcer: Announcer | undefined;
    const readings = [...seen].map(([id, one]) => {
      const before = this.#readings.get(id);
      if (before?.seen === one) return before;
      announcer ??= this.#parts.announcer();
      const reading = this.#read(one, announcer);
      this.#readings.set(id, reading);
      return reading;
    });
    const { wanted, doubled } = wantedInstances(readings, this.#wanted);
    for (const { seen, problems } of readings) {
      const { id } = seen.container;
      const same = doubled.filter(({ container }) => container === id).map((one) => this.#doubled(seen.container, one));
      this.#report(seen.container, [...problems, ...same]);
    }
    // The policies come first: they decide whether an instance may be announced.
    if (this.#hasReadAll()) this.#parts.policies.update(readings.flatMap((one) => this.#askedBy(one)));
    const askedBy = new Map(readings.map(({ seen, asked }) => [seen.container.id, asked]));
    const ready = policiesFirst(wanted, this.#wanted, askedBy, this.#parts.policies.isSettled);
    this.#holds = ready.size < wanted.size;
    this.#carryOut(ready);
    this.#passOn();
    this.#onUpdated();
  }

  #read(seen: SeenContainer, announcer: Announcer): Reading {
    const { container } = seen;
    const { ownContainer } = this.#watch;
    const { instances, problems } = readLabels(container, { ...this.#parts.context, ownContainer });
    const { asked, problems: ofPolicies } = this.#parts.policies.read(container);
    const faults = [...problems, ...ofPolicies];
    const mistaken = mistakenServices(asked);
    const declaring = instances.flatMap((labelled) => {
      if (mistaken.has(labelled.settings.service)) return [];
      const declared = declare(labelled.settings, announcer);
      if (declared instanceof Fault) {
        faults.push(
          new Fault('settings', declared.message, {
            where: placeOf(container, labelled, declared),
            hint: declared.hint,
          }),
        );
        return [];
      }
      return [{ labelled, declared: labelled.byHealthcheck ? checkedWithin(declared) : declared }];
    });
    return { seen, instances: declaring, problems: faults, asked };
  }

  /** As long as only some containers are read, the one that decides about a policy may be missing. */
  #hasReadAll(): boolean {
    const { known, staleMs } = this.#parts.record.state;
    return known || staleMs >= firstReadMs;
  }

  #askedBy({ seen, instances, asked }: Reading): ReturnType<typeof withAnnounced> {
    const announced = instances.map(({ declared: { instance } }) => {
      const name = `${instance.service}/${instance.id}`;
      const isIts = this.#wanted.get(name)?.container === seen.container.id;
      const { state } = this.#registrations.all.get(name)?.state ?? {};
      return { service: instance.service, announced: isIts && state === 'announced' };
    });
    return withAnnounced(asked, announced);
  }

  #carryOut(wanted: ReadonlyMap<string, Want>): void {
    const before = this.#wanted;
    this.#wanted = wanted;
    for (const [name, want] of before) if (!wanted.has(name) && want.how !== 'drop') this.#takeOut(name, want);
    for (const name of this.#containers.keys()) {
      if (!wanted.has(name) && !this.#registrations.all.has(name)) this.#containers.delete(name);
    }
    for (const [name, { how, declared, container }] of wanted) {
      this.#containers.set(name, container);
      const former = before.get(name);
      const same =
        former !== undefined &&
        former.how === how &&
        former.container === container &&
        (former.declared === declared || sameDeclaration(former.declared, declared));
      if (same) continue;
      switch (how) {
        case 'announce':
          this.#registrations.announce(name, declared);
          break;
        case 'pause':
          this.#logUnhealthy(name, container, 'takes no new requests');
          this.#registrations.all.get(name)?.pause();
          break;
        case 'retire':
          this.#registrations.retire(name, declared);
          break;
        case 'drop':
          this.#registrations.drop(name, declared);
          break;
      }
    }
  }

  #takeOut(name: string, { container: id }: Want): void {
    const seen = this.#watch.seen.get(id);
    if (seen?.stage === 'leaving' && ['running', 'stopping'].includes(seen.container.phase)) {
      this.#registrations.retire(name);
      return;
    }
    if (seen?.stage === 'up' && seen.container.phase === 'running') {
      // It still runs, and declares the instance under another name: the requests of this one may end.
      if (seen.container.health !== 'unhealthy') {
        this.#registrations.retire(name);
        return;
      }
      this.#logUnhealthy(name, id, 'is taken out of the registry');
    }
    this.#registrations.drop(name);
  }

  #containerOf({ instance: { service, id } }: Declared): { readonly container: string } {
    const container = this.#wanted.get(`${service}/${id}`)?.container ?? '';
    return { container: this.#watch.seen.get(container)?.container.name ?? container };
  }

  #logUnhealthy(instance: string, id: string, becomes: string): void {
    const container = this.#watch.seen.get(id)?.container.name ?? id;
    const message = `${instance} is unhealthy and ${becomes}: the HEALTHCHECK of ${container} fails`;
    this.#parts.logger.warn({ event: 'unhealthy', instance, container }, message);
  }

  /** Ends the applications of the containers that left, since their engine waits for that. */
  #passOn(): void {
    this.#terminations.follow(this.#watch.seen);
    for (const { container, stage } of this.#watch.seen.values()) {
      if (stage !== 'leaving') continue;
      const names = [...this.#containers].filter(([, id]) => id === container.id).map(([name]) => name);
      if (names.some((name) => this.#registrations.all.has(name))) continue;
      this.#watch.passedOn(container.id);
      this.#terminations.begin(container, names.length > 0);
    }
  }

  #warnOfHostname(): void {
    const { context, logger } = this.#parts;
    const { hostname } = context.machine;
    const { ownContainer } = this.#watch;
    if (ownContainer === undefined || this.#warnedOfHostname || !isNamedById(ownContainer, hostname)) return;
    this.#warnedOfHostname = true;
    const message = `the ids of instances begin with ${hostname}, and change each time that the container ${ownContainer.name} is recreated: set hostname: for it, another one on each machine`;
    logger.warn({ event: 'hostname-changes', hostname, container: ownContainer.name }, message);
  }

  #doubled({ name }: Container, doubled: Doubled): Fault {
    const other = this.#watch.seen.get(doubled.other)?.container.name ?? doubled.other;
    const hint = 'give one of them another pointsman.id';
    return new Fault('settings', `${doubled.name} is declared by container ${other} already`, {
      where: `container ${name}`,
      hint,
    });
  }

  /** Logs the problems of a container once. */
  #report({ id, name }: Container, problems: readonly Fault[]): void {
    const text = problems.join('\n');
    const before = this.#complaints.get(id) ?? '';
    if (text === before) return;
    this.#complaints.set(id, text);
    const { logger } = this.#parts;
    if (text === '') logger.info({ event: 'labels-valid', container: name }, `${name} is valid again`);
    for (const problem of problems) {
      const { where, message: reason } = problem;
      logger.error({ event: 'labels-refused', container: name, where, reason }, problem.toString());
    }
  }
}

/** The balancers need not check it first: its HEALTHCHECK, a command, has. */
const checkedWithin = (declared: Declared): Declared => ({
  ...declared,
  instance: { ...declared.instance, checked: 'command' },
});

/** The place of what is wrong with an address or a check on this machine: a label, or the flag of the agent that counts without it. */
function placeOf({ name, labels }: Container, { prefix }: LabelledInstance, { where = prefix }: Fault): string {
  const field = where.startsWith('--') ? where.slice(2) : undefined;
  const label = [`${prefix}.${field}`, `pointsman.${field}`].find((one) => one in labels);
  return `container ${name}: ${label === undefined ? where : `label ${label}`}`;
}
