import { join } from 'node:path';
import type { Logger } from 'pino';
import { FolderWatch } from '../fs/folder-watch.ts';
import { describe, Fault } from '../model/fault.ts';
import type { HealthCheck } from '../model/health-check.ts';
import type { InstanceSettings } from '../settings/register.ts';
import { type Announcer, declare } from './declare.ts';
import { changesBetween, type PlacedInstance, placeInstances } from './declared-files.ts';
import { FolderScan, type Found, type Scan } from './folder-scan.ts';
import type { FolderFacts } from './register-status.ts';
import type { Declared } from './registration.ts';
import { RegistrationSet, type RegistrationSetParts } from './registration-set.ts';
import type { Doubt } from './trusted-writer.ts';

export type AgentParts = Pick<RegistrationSetParts, 'openRegistration' | 'openDeparture'> & {
  /** The folder of declarations. */
  readonly path: string;
  /** The check of a declaration that names none. */
  readonly check: HealthCheck | undefined;
  /** Reads a declaration, or returns all its mistakes. Never throws. */
  readonly readDeclaration: (path: string, text: string) => InstanceSettings | readonly Fault[];
  /** Asked at each look at the folder: a machine's addresses change. */
  readonly announcer: () => Announcer;
  readonly logger: Logger;
  /** The time of day, in ms. */
  readonly wall: () => number;
};

/** The last good form of a file: as it is written, and with its address found. */
type File = { readonly settings: InstanceSettings; readonly declared: Declared | undefined };

/**
 * The stages of a file, each with its mistakes: its text, its address on this machine, and that another file declares the same.
 */
const stages = ['reading', 'address', 'place'] as const;

/** Announces what the files of a folder declare, an instance each, as they come, change and go. */
export class Agent {
  readonly #parts: AgentParts;
  readonly #scan: FolderScan;
  readonly #watch: FolderWatch;
  readonly #files = new Map<string, File>();
  /** The logged mistakes, by stage and file, so that each is logged once. */
  readonly #complaints = new Map<string, string>();
  readonly #registrations: RegistrationSet;
  #placed: ReadonlyMap<string, PlacedInstance> = new Map();
  #away: string | undefined;
  #beginning: Promise<void> | undefined;
  #over = false;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#registrations = new RegistrationSet(parts);
    this.#scan = new FolderScan(parts.path, parts.wall);
    this.#watch = new FolderWatch({ path: parts.path, onTouched: () => this.#look() });
  }

  /** Announces what is declared now, and follows the folder. Rejects with Fault `settings` when there is none. */
  begin(): Promise<void> {
    this.#beginning = this.#begin();
    return this.#beginning;
  }

  /** The present registrations, by `service/id`. */
  get registrations(): RegistrationSet['all'] {
    return this.#registrations.all;
  }

  /** For metrics and readiness. */
  get state(): FolderFacts {
    const files = new Set([...this.#complaints.keys()].map((key) => key.slice(key.indexOf(' ') + 1)));
    return { unreadable: this.#away, refused: files.size };
  }

  /** Stops to follow the folder: from now on the registrations stay as they are. */
  async freeze(): Promise<void> {
    this.#over = true;
    await this.#beginning?.catch(() => undefined);
    await this.#watch.close();
  }

  /** Leaves the registry as it is. Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    await this.freeze();
    await this.#registrations.stop();
  }

  async #begin(): Promise<void> {
    await this.#look();
    if (this.#away !== undefined) {
      throw new Fault('settings', `the folder of declarations cannot be read: ${this.#away}`, { where: '--dir' });
    }
    await this.#watch.open();
  }

  async #look(): Promise<void> {
    const scan = await this.#list();
    if (this.#over) return;
    for (const file of scan?.gone ?? []) {
      this.#files.delete(file);
      for (const stage of stages) this.#complaints.delete(`${stage} ${file}`);
    }
    for (const [file, found] of scan?.changed ?? []) this.#read(file, found);
    this.#findAddresses();
    this.#place();
  }

  /** Undefined when the folder cannot be read: silence is not absence, so its instances stay. */
  async #list(): Promise<Scan | undefined> {
    const { path, logger } = this.#parts;
    try {
      const scan = await this.#scan.next();
      if (this.#away !== undefined) logger.info({ event: 'folder-readable', path }, 'the folder can be read again');
      this.#away = undefined;
      return scan;
    } catch (error) {
      const reason = describe(error);
      const message = `its instances stay as they are: ${reason}`;
      if (reason !== this.#away) logger.warn({ event: 'folder-unreadable', path, reason }, message);
      this.#away = reason;
      return undefined;
    }
  }

  #read(file: string, found: Found): void {
    const path = join(this.#parts.path, file);
    const read =
      found.kind === 'text'
        ? this.#trusted(path, this.#parts.readDeclaration(path, found.text), found.doubt)
        : [new Fault('settings', found.reason, { where: path })];
    const good = !('length' in read);
    if (good) this.#files.set(file, { settings: read, declared: this.#files.get(file)?.declared });
    this.#report('reading', file, good ? [] : read);
  }

  /** A command is run only if root or the agent's own user wrote it; one of the agent's flags is. */
  #trusted(
    path: string,
    read: InstanceSettings | readonly Fault[],
    doubt: Doubt | undefined,
  ): InstanceSettings | readonly Fault[] {
    if (doubt === undefined || 'length' in read || read.check?.kind !== 'command' || read.check === this.#parts.check) {
      return read;
    }
    const what = `its check is a command, and ${doubt.reason}, so pointsman does not run the command`;
    return [new Fault('settings', what, { where: path, hint: doubt.hint })];
  }

  #findAddresses(): void {
    const announcer = this.#parts.announcer();
    for (const [file, { settings }] of this.#files) {
      const declared = declare(settings, announcer);
      const bad = declared instanceof Fault;
      if (!bad) this.#files.set(file, { settings, declared });
      this.#report('address', file, bad ? [inFile(join(this.#parts.path, file), declared)] : []);
    }
  }

  #place(): void {
    const declared = new Map<string, Declared>();
    for (const [file, { declared: one }] of this.#files) if (one !== undefined) declared.set(file, one);
    const { placed, doubled } = placeInstances(declared, this.#placed);
    const others = new Map(doubled.map(({ file, name, other }) => [file, { name, other }]));
    for (const file of declared.keys()) {
      const same = others.get(file);
      const where = join(this.#parts.path, file);
      const what = `${same?.name} is declared by ${same?.other} already`;
      const hint = 'give one of them another id';
      this.#report('place', file, same === undefined ? [] : [new Fault('settings', what, { where, hint })]);
    }
    for (const change of changesBetween(this.#placed, placed)) {
      if (change.kind === 'retire') this.#registrations.retire(change.name);
      else this.#registrations.announce(change.name, change.declared);
    }
    this.#placed = placed;
  }

  /** Logs the mistakes of a file once. The former declaration of the file stays. */
  #report(stage: (typeof stages)[number], file: string, faults: readonly Fault[]): void {
    const { logger } = this.#parts;
    const key = `${stage} ${file}`;
    const before = this.#complaints.get(key);
    const text = faults.join('\n');
    if (text === (before ?? '')) return;
    if (text === '') {
      this.#complaints.delete(key);
      logger.info({ event: 'declaration-mended', file }, `${file} is valid again`);
      return;
    }
    this.#complaints.set(key, text);
    const stays = this.#files.get(file)?.declared !== undefined && stage !== 'place';
    for (const fault of faults) {
      const { where, message } = fault;
      const after = stays ? '; its former declaration stays in force' : '';
      logger.error({ event: 'declaration-refused', file, where, reason: message, stays }, `${fault}${after}`);
    }
  }
}

/** The Fault of a flag, with the name of a field. */
function inFile(path: string, { message, where, hint }: Fault): Fault {
  return new Fault('settings', message, { where: `${path}: ${where?.replace(/^--/, '')}`, hint });
}
