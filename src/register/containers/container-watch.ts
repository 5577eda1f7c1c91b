import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import type { EngineEvent, ListedContainer } from '../../engine/container.ts';
import type { EngineApi, EngineFacts } from '../../engine/engine-api.ts';
import { isLabelled } from '../../engine/label-groups.ts';
import { OncePerReason } from '../../logging/once-per-reason.ts';
import { describe } from '../../model/fault.ts';
import { backoffMs } from '../../waiting/backoff.ts';
import { afterEvent, afterInspection, type SeenContainer } from './container-run.ts';
import type { EngineRecord } from './engine-record.ts';
import { KnownKills } from './known-kills.ts';
import { findOwnContainer, type OwnContainer } from './own-container.ts';

export type ContainerWatchParts = {
  readonly engine: EngineApi;
  readonly logger: Logger;
  readonly record: EngineRecord;
  /** The id of the container that the agent runs in; undefined outside of one. */
  readonly ownId: string | undefined;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Some containers changed. */
  readonly onChange: () => void;
};

/** The pause before the agent connects to the engine again. */
const retry = { firstMs: 100, mostMs: 5000, jitter: 0.5 };
const inspectionsAtOnce = 8;
/** An inspection that failed is repeated after this, in ms, while the engine still sends events. */
const repeatMs = 1000;
/** How often to list the containers in case an event was lost, in ms. */
const listEveryMs = 30_000;
/** The same where no event tells of a container that is asked to end. */
const pollEveryMs = 500;
/** podman sends these when it starts a HEALTHCHECK and when that has ended; it stores the new state only afterwards. */
const healthEvents = ['health_status', 'exec_died'];

/** The states of a container whose application may run. podman's default list leaves out what is `stopping`. */
const runningStates: readonly string[] = ['running', 'paused', 'stopping'];

/** Follows the containers of an engine that have labels for pointsman. While the engine does not answer, they stay as they are. */
export class ContainerWatch {
  readonly #parts: ContainerWatchParts;
  readonly #closing = new AbortController();
  readonly #seen = new Map<string, SeenContainer>();
  /** The inspections under way, and whether something happened since they began. */
  readonly #reading = new Map<string, { stale: boolean }>();
  /** Why the engine is not followed; undefined when it is. */
  #away: string | undefined = 'not connected yet';
  #running: Promise<void> | undefined;
  #ownContainer: OwnContainer | undefined;
  readonly #kills = new KnownKills();
  /** Resolves when the events are known that happened before the stream opened: until then an inspection says too little. */
  #caughtUp: Promise<void> = Promise.resolve();

  /** The containers whose health may have changed after they were inspected: the next list of containers inspects them again. */
  readonly #unsettled = new Set<string>();

  readonly #unread = new OncePerReason();
  /** An engine with hundreds of containers slows down with more. */
  readonly #inTurn = pLimit(inspectionsAtOnce);

  constructor(parts: ContainerWatchParts) {
    this.#parts = parts;
    // Each inspection listens to it.
    setMaxListeners(0, this.#closing.signal);
  }

  /** The containers that run or are paused, by id. */
  get seen(): ReadonlyMap<string, SeenContainer> {
    return this.#seen;
  }

  /** Known before the first container is. */
  get ownContainer(): OwnContainer | undefined {
    return this.#ownContainer;
  }

  begin(): void {
    this.#running ??= this.#run();
  }

  /** The application was told to end, after its instances left. */
  passedOn(id: string): void {
    const seen = this.#seen.get(id);
    if (seen?.stage === 'leaving') this.#seen.set(id, { ...seen, stage: 'left' });
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { engine, random } = this.#parts;
    const { signal } = this.#closing;
    for (let failures = 1; !signal.aborted; failures += 1) {
      const listing = new AbortController();
      const onOpen = (facts: EngineFacts) => {
        failures = 0;
        const until = AbortSignal.any([signal, listing.signal]);
        this.#kills.clear();
        this.#caughtUp = this.#findOwn(until).then(() => this.#catchUp(facts, until));
        void this.#list(facts, until);
      };
      try {
        await engine.events({ onOpen, onEvent: (event) => this.#onEvent(event) }, signal);
      } catch (error) {
        this.#setAway(describe(error));
      } finally {
        listing.abort();
      }
      await pause(backoffMs(retry, Math.max(1, failures), random()), undefined, { signal }).catch(() => undefined);
    }
  }

  async #findOwn(signal: AbortSignal): Promise<void> {
    const { engine, ownId } = this.#parts;
    const found = await findOwnContainer(engine, ownId, { signal, onFailure: (reason) => this.#setAway(reason) });
    if (!signal.aborted) this.#ownContainer = found;
  }

  /** Reads the kills that were sent before the stream opened. Never rejects: without them the agent knows less, and goes on. */
  async #catchUp({ announcesStops, openedAt }: EngineFacts, signal: AbortSignal): Promise<void> {
    // podman's events do not name the signal, and its inspection says `stopping`.
    if (!announcesStops) return;
    const { engine, logger } = this.#parts;
    try {
      for (const event of await engine.pastKills(openedAt, signal)) this.#apply(event);
      this.#unread.isNew('past', undefined);
    } catch (error) {
      const reason = describe(error);
      if (signal.aborted || !this.#unread.isNew('past', reason)) return;
      const message = `containers that were asked to end before now count as running: past events cannot be read: ${reason}`;
      logger.warn({ event: 'past-events-unread', engine: engine.location, reason }, message);
    }
  }

  /** Reads all containers now, because events may be missing from before, and looks for lost ones from time to time. */
  async #list({ announcesStops }: EngineFacts, signal: AbortSignal): Promise<void> {
    const { engine, record } = this.#parts;
    await this.#caughtUp;
    for (let first = true; !signal.aborted; ) {
      try {
        const listed = await engine.list({ all: !announcesStops }, signal);
        const running = announcesStops ? listed : listed.filter(({ state }) => runningStates.includes(state));
        // An engine that hung may have let inspections fail, although its stream of events goes on.
        const all = first || this.#away !== undefined;
        const moved = await this.#compare(running, all);
        if (signal.aborted) return;
        // podman is asked more often than it tells.
        if (!all && announcesStops) record.addMissed(moved);
        this.#setAway(undefined);
        first = false;
        this.#parts.onChange();
      } catch (error) {
        if (!signal.aborted) this.#setAway(describe(error));
      }
      const waitMs = this.#away !== undefined ? repeatMs : announcesStops ? listEveryMs : pollEveryMs;
      await pause(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Inspects the containers that came or went, or begin to stop, and returns how many came or went; with `all`, it inspects those as well that are where they were. */
  async #compare(listed: readonly ListedContainer[], all: boolean): Promise<number> {
    const ids = new Set(listed.map(({ id }) => id));
    const again = new Set(this.#unsettled);
    this.#unsettled.clear();
    const isNew = ({ id, state }: ListedContainer) => {
      const seen = this.#seen.get(id);
      return seen === undefined || again.has(id) || (state === 'stopping' && seen.container.phase !== 'stopping');
    };
    const come = listed.filter((one) => isLabelled(one.labels) && (all || isNew(one)));
    const went = [...this.#seen.keys()].filter((id) => !ids.has(id));
    await Promise.all([...come.map(({ id }) => id), ...went].map((id) => this.#read(id)));
    return come.filter(({ id }) => this.#seen.has(id)).length + went.filter((id) => !this.#seen.has(id)).length;
  }

  #onEvent(event: EngineEvent): void {
    const { container: id, action } = event;
    const before = this.#seen.get(id);
    if (before !== undefined && healthEvents.includes(action)) this.#unsettled.add(id);
    this.#apply(event);
    // Of a container that is not known, only its start matters: the labels of a container never change.
    if (before !== undefined || action === 'start' || this.#reading.has(id)) void this.#read(id);
  }

  #apply(event: EngineEvent): void {
    this.#kills.add(event);
    const before = this.#seen.get(event.container);
    if (before === undefined) return;
    const after = afterEvent(before, event);
    this.#seen.set(event.container, after);
    if (after !== before) this.#parts.onChange();
  }

  /** Inspects a container, again if something happens to it meanwhile. Never rejects. */
  async #read(id: string): Promise<void> {
    const under = this.#reading.get(id);
    if (under !== undefined) {
      under.stale = true;
      return;
    }
    const reading = { stale: true };
    this.#reading.set(id, reading);
    try {
      while (reading.stale) {
        reading.stale = false;
        await this.#inspect(id, reading);
      }
    } finally {
      this.#reading.delete(id);
    }
  }

  async #inspect(id: string, reading: { stale: boolean }): Promise<void> {
    const { engine, logger, onChange } = this.#parts;
    const { signal } = this.#closing;
    try {
      const container = await this.#inTurn(() => engine.inspect(id, signal));
      this.#unread.isNew('container', undefined);
      await this.#caughtUp;
      if (reading.stale || signal.aborted) return;
      const labelled = container !== undefined && isLabelled(container.labels);
      const after = labelled ? afterInspection(this.#seen.get(id), container, this.#kills.of(id)) : undefined;
      if (after === undefined) this.#seen.delete(id);
      else this.#seen.set(id, after);
      onChange();
    } catch (error) {
      await pause(repeatMs, undefined, { signal }).catch(() => undefined);
      // When the engine does not answer at all, everything is read again once it does.
      if (signal.aborted || this.#away !== undefined) return;
      const reason = describe(error);
      const message = `pointsman inspects containers again until it succeeds: ${reason}`;
      if (this.#unread.isNew('container', reason)) {
        logger.warn({ event: 'container-unread', container: id, reason }, message);
      }
      reading.stale = true;
    }
  }

  #setAway(reason: string | undefined): void {
    const { logger, engine, record, onChange } = this.#parts;
    const { location } = engine;
    if (reason === undefined) record.answers();
    else record.lost(reason);
    if (reason === this.#away) return;
    this.#away = reason;
    if (reason === undefined) {
      logger.info(
        { event: 'engine-connected', engine: location, containers: this.#seen.size },
        `follows the containers of ${location}`,
      );
      onChange();
      return;
    }
    const message = `the instances of containers stay as they are: ${reason}`;
    logger.warn({ event: 'engine-unavailable', engine: location, reason }, message);
  }
}
