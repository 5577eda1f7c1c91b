import type { Logger } from 'pino';
import { Fault } from '../model/fault.ts';
import { formatDuration } from '../model/quantity.ts';
import type { Registry } from '../registry/registry.ts';
import type { ContainerSource, InstanceSettings, RegisterSettings } from '../settings/register.ts';
import { Agent, type AgentParts } from './agent.ts';
import type { ContainerAgent, ContainerAgentParts } from './containers/container-agent.ts';
import { EngineRecord } from './containers/engine-record.ts';
import { type Announcer, declare } from './declare.ts';
import { sameDeclaration } from './declared-files.ts';
import { Departure } from './departure.ts';
import { openProbe } from './probe.ts';
import type { RegisterFacts } from './register-status.ts';
import { confirmMs, type Declared, Registration, type RegistrationParts, turnMs } from './registration.ts';
import { SharedLease } from './shared-lease.ts';

export type DeclaredInstance = { readonly settings: InstanceSettings; readonly declared: Declared };

export type AnnouncingParts = Pick<RegistrationParts, 'onRefused' | 'whenOwned' | 'now' | 'random'> &
  Pick<AgentParts, 'announcer' | 'wall'> & {
    readonly settings: RegisterSettings;
    readonly instances: readonly DeclaredInstance[];
    /** Undefined without a folder of declarations. */
    readonly readDeclaration: AgentParts['readDeclaration'] | undefined;
    /** Undefined without containers. */
    readonly openContainers: OpenContainers | undefined;
    readonly registry: Registry;
    readonly env: Announcer['env'];
    /** Logs what concerns all instances. */
    readonly logger: Logger;
    readonly loggerOf: (declared: Declared) => Logger;
  };

/** Makes the agent of the containers of an engine. */
export type OpenContainers = (
  source: ContainerSource,
  parts: Omit<ContainerAgentParts, 'engine' | 'context' | 'policies' | 'ownId'>,
) => ContainerAgent;

/** All instances that this process announces under one lease: those of its settings, of a folder, and of an engine's containers. */
export class Announcing {
  readonly #parts: AnnouncingParts;
  readonly #lease: SharedLease;
  readonly #registrations: readonly Registration[];
  readonly #agent: Agent | undefined;
  readonly #containers: ContainerAgent | undefined;
  #stopFollowing = (): void => undefined;
  #isLeaving = false;

  constructor(parts: AnnouncingParts) {
    const { settings, registry, logger, instances, readDeclaration, announcer, onRefused, whenOwned, wall } = parts;
    this.#parts = parts;
    this.#lease = new SharedLease({ registry, ttlMs: settings.ttlMs, logger, now: parts.now });
    const openRegistration: AgentParts['openRegistration'] = (...one) => this.#open(...one);
    this.#registrations = instances.map(({ declared }) => openRegistration(declared, { onRefused, whenOwned }));
    const { folder, containers } = settings;
    const openDeparture = () => this.#openDeparture();
    if (containers !== undefined) {
      const { drainTimeoutMs } = settings;
      const about = {
        openRegistration,
        openDeparture,
        announcer,
        logger,
        registry,
        record: new EngineRecord(parts.now),
        drainTimeoutMs,
        random: parts.random,
      };
      this.#containers = parts.openContainers?.(containers, about);
    }
    if (folder === undefined || readDeclaration === undefined) return;
    const { path, traits } = folder;
    const { check } = traits;
    this.#agent = new Agent({ path, check, readDeclaration, announcer, openRegistration, openDeparture, logger, wall });
  }

  /** Rejects with Fault `settings` when the folder cannot be read. */
  async begin(): Promise<void> {
    const { instances, announcer } = this.#parts;
    for (const registration of this.#registrations) registration.begin();
    this.#stopFollowing = followAddresses(instances, announcer, (at, one) => this.#registrations[at]?.update(one));
    this.#containers?.begin();
    await this.#agent?.begin();
  }

  /** For metrics and readiness. */
  get facts(): RegisterFacts {
    const agents = [this.#agent, this.#containers];
    const followed = agents.flatMap((agent) => [...(agent?.registrations.values() ?? [])]);
    return {
      leaving: this.#isLeaving,
      registry: this.#lease.state,
      instances: [...this.#registrations, ...followed].map(({ state }) => state),
      folder: this.#agent?.state,
      containers: this.#containers?.state,
    };
  }

  /** How long a leave of all instances may take, in ms. */
  get leaveMs(): number {
    return this.#parts.settings.drainTimeoutMs + 2 * (confirmMs + turnMs * this.#leaving.length);
  }

  /** Takes all instances out of the registry for good, side by side; see Registration.leave. Containers that run on may stay. */
  async leave(signal: AbortSignal): Promise<void> {
    this.#isLeaving = true;
    this.#stopFollowing();
    const departure = this.#openDeparture();
    await Promise.all([this.#agent?.freeze(), this.#containers?.settled(signal)]);
    await this.#containers?.freeze();
    this.#logKept();
    const all = this.#leaving;
    await Promise.all(all.map((one) => one.leave(departure, signal, all.length))).finally(() => departure.close());
  }

  /**
   * Ends the lease, and with it the keys that did not leave; without an end, the next agent takes the keys of containers over. Resolves
   * when nothing is under way.
   */
  async stop(signal: AbortSignal): Promise<void> {
    this.#stopFollowing();
    await Promise.all([
      this.#keepsContainers ? undefined : this.#lease.close(signal),
      ...this.#registrations.map((one) => one.stop()),
      this.#agent?.stop(),
      this.#containers?.stop(),
    ]);
  }

  #logKept(): void {
    const kept = this.#keepsContainers ? (this.#containers?.registrations.size ?? 0) : 0;
    if (kept === 0) return;
    const { settings, logger } = this.#parts;
    const message = `${kept} instances of containers stay for the next agent, for at most ${formatDuration(settings.ttlMs)}`;
    logger.info({ event: 'containers-kept', instances: kept, ttlMs: settings.ttlMs }, message);
  }

  get #keepsContainers(): boolean {
    return this.#parts.settings.containers?.onStop === 'keep';
  }

  /** The registrations that end when this process does. */
  get #leaving(): readonly Registration[] {
    const followed = [this.#agent, this.#keepsContainers ? undefined : this.#containers];
    return [...this.#registrations, ...followed.flatMap((agent) => [...(agent?.registrations.values() ?? [])])];
  }

  #open(...[declared, hooks, about]: Parameters<AgentParts['openRegistration']>): Registration {
    const { now, random, env, loggerOf } = this.#parts;
    const logger = loggerOf(declared);
    return new Registration({
      lease: this.#lease,
      declared,
      logger: about === undefined ? logger : logger.child(about),
      now,
      random,
      openProbe: (target) => openProbe(target, { env }),
      ...hooks,
    });
  }

  #openDeparture(): Departure {
    const { registry, settings, now } = this.#parts;
    return new Departure({ registry, drainTimeoutMs: settings.drainTimeoutMs, now });
  }
}

/** Fills in what the settings leave open. Throws everything that is wrong with them. */
export function declareAll(settings: readonly InstanceSettings[], announcer: Announcer): readonly DeclaredInstance[] {
  const faults: Fault[] = [];
  const instances = settings.flatMap((one) => {
    const declared = declare(one, announcer);
    if (!(declared instanceof Fault)) return [{ settings: one, declared }];
    faults.push(declared);
    return [];
  });
  const [fault, ...more] = faults;
  if (fault === undefined) return instances;
  throw more.length === 0 ? fault : new AggregateError(faults);
}

/** How often to read this machine's addresses, in ms: no event reports a change, and reading takes 0.1 ms. */
const everyMs = 5000;

/**
 * Reports each instance whose address on this machine changed: a lease of DHCP, a network that a container was connected to.
 * While there is none, or more than one, the last one stays. The returned function ends it.
 */
function followAddresses(
  instances: readonly { readonly settings: InstanceSettings; readonly declared: Declared }[],
  announcer: () => Announcer,
  onMoved: (index: number, declared: Declared) => void,
): () => void {
  const moving = instances.flatMap(({ settings, declared }, index) =>
    settings.address.kind === 'found' ? [{ settings, declared, index }] : [],
  );
  if (moving.length === 0) return () => undefined;
  const timer = setInterval(() => {
    const now = announcer();
    for (const one of moving) {
      const declared = declare(one.settings, now);
      if (declared instanceof Fault || sameDeclaration(declared, one.declared)) continue;
      one.declared = declared;
      onMoved(one.index, declared);
    }
  }, everyMs);
  return () => clearInterval(timer);
}
