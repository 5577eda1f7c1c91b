import { readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { execa, type ResultPromise } from 'execa';
import { Fault } from '../model/fault.ts';
import { formatDuration } from '../model/quantity.ts';
import { sayWhile } from '../waiting/say-while.ts';
import { absentAddresses } from './absent-addresses.ts';
import { probeListeners, startFault, type Unbindable } from './bind-probe.ts';
import { readVersion, type Validated, validateConfig } from './check.ts';
import { type FailedAddresses, retryInMs, withFailed, withoutLoaded } from './failed-addresses.ts';
import { globalOf, probeGlobal } from './global-probe.ts';
import type { Haproxy, Processes } from './haproxy.ts';
import { type Listener, listenersIn, toBeTried } from './listeners.ts';
import { alertsIn, askWorker, readProcesses, reloadMaster } from './master.ts';
import { MasterSocket, type MasterSocketOptions } from './master-socket.ts';
import { hardLimitOf } from './open-files.ts';
import { type OnHealth, Output } from './output.ts';
import { apart, hasInCommand, isAlive, signal } from './processes.ts';

export type ManagedOptions = MasterSocketOptions & {
  /** Called when HAProxy ends although pointsman did not stop it. */
  readonly onExit: (reason: string) => void;
  /** Called with each change of a server's health that HAProxy reports, and without one when a report may have been lost. */
  readonly onHealth: OnHealth;
  /** Aborted when a stop is to wait for open requests no longer. */
  readonly hurry?: AbortSignal | undefined;
};

type Child = Pick<ResultPromise, 'pid' | 'stdout' | 'stderr' | 'unref'>;

const startMs = 15_000;
const reloadMs = 30_000;
const answerMs = 2000;
const adoptedMs = 250;

/**
 * HAProxy in master-worker mode, which pointsman starts and watches. HAProxy outlives a crash of pointsman, because it has a
 * process group of its own. The next pointsman on the same folder adopts it, by the master's socket.
 */
export class ManagedHaproxy implements Haproxy {
  readonly #options: ManagedOptions;
  #child: Child | undefined;
  #stopping = false;
  readonly printsHere = true;
  /** Watches an adopted HAProxy: only its parent would be notified of its end. */
  #adopted: NodeJS.Timeout | undefined;
  readonly #output: Output;
  /** The master that serves, whether it was started here or adopted. */
  #masterPid: number | undefined;
  readonly #socket: MasterSocket;
  /** The configuration that HAProxy loaded last; empty while it does not run. */
  #loaded = '';
  #differs: string | undefined;
  #failed: FailedAddresses = new Map();

  constructor(options: ManagedOptions) {
    this.#options = options;
    this.#output = new Output(join(dirname(options.masterSocket), 'output'), options.logger, options.onHealth);
    this.#socket = new MasterSocket(options);
  }

  async validate(file: string, deadlineMs: number): Promise<Validated> {
    const { executable, masterSocket, signal: ending } = this.#options;
    const checked = await validateConfig(executable, file, deadlineMs, ending);
    if (!checked.ok) return checked;
    const config = await readFile(file, 'utf8').catch(() => '');
    const [wanted = [], loaded = []] = [config, this.#loaded].map((text) => listenersIn(text, hostname()));
    // The worker of this folder may have an address that is not in what it is known to have loaded. A reload hands it on.
    const ours = (pid: number) => hasInCommand(pid, this.#options.configFile);
    const added = toBeTried(wanted, loaded);
    const impossible = [...this.#waiting(added), ...(await absentAddresses(wanted, loaded))];
    const unbindable =
      impossible.length > 0 ? impossible : await probeListeners(executable, `${file}.probe`, added, config, ours);
    if (unbindable.length > 0) {
      return { ok: false, problems: unbindable, mayPass: 'address' };
    }
    // A start that fails on its global section makes nothing worse than before it.
    if (this.#loaded === '' || globalOf(config)?.text === globalOf(this.#loaded)?.text) return checked;
    const problem = await probeGlobal(executable, { file: `${file}.probe`, socket: `${masterSocket}.probe` }, config);
    return problem === undefined ? checked : { ok: false, problems: [problem] };
  }

  /** The listeners for which a reload failed a short time ago. */
  #waiting(listeners: readonly Listener[]): readonly Unbindable[] {
    return listeners.flatMap(({ line, address, ...socket }) => {
      if (retryInMs(this.#failed, socket, performance.now()) === undefined) return [];
      const text = `cannot listen on ${address}: a reload failed for this address a short time ago; pointsman tries it again later`;
      return [{ line, address, text }];
    });
  }

  async findRunning(): Promise<Processes | undefined> {
    const found = await this.#find();
    if (found?.masterPid !== undefined) {
      await this.#hasLoaded();
      this.#lookAfter(found.masterPid);
      await this.#output.resume(found.masterPid);
      await this.#compare(found.version);
    }
    return found;
  }

  async #hasLoaded(): Promise<void> {
    this.#loaded = await readFile(this.#options.configFile, 'utf8').catch(() => '');
  }

  #ended(reason: string): void {
    this.#loaded = '';
    this.#options.onExit(reason);
  }

  /** The processes of an HAProxy on this folder, whether it was started here or before. */
  async #find(): Promise<Processes | undefined> {
    const there = await stat(this.#options.masterSocket).catch(() => undefined);
    return there === undefined ? undefined : readProcesses(this.#options.masterSocket, answerMs);
  }

  get versionDiffers(): string | undefined {
    return this.#differs;
  }

  readonly endWorker = (pid: number): void => signal(pid, 'SIGTERM');

  /** One that is to be started inherits the limit. */
  openFilesLimit(): Promise<number | undefined> {
    return hardLimitOf(this.#masterPid ?? 'self');
  }

  /** A master executes the file again that it was started from, so an adopted one may never run the configured executable. */
  async #compare(running: string | undefined): Promise<void> {
    const { executable, logger } = this.#options;
    // The next check reports an HAProxy that cannot be run any more.
    const ours = await readVersion(executable).catch(() => undefined);
    const before = this.#differs;
    this.#differs =
      running === undefined || ours === undefined || running === ours
        ? undefined
        : `HAProxy ${running} is running, but ${executable} is ${ours}: to use that one, stop pointsman together with HAProxy, and start it again`;
    if (this.#differs === undefined || this.#differs === before) return;
    logger.warn({ event: 'haproxy-version-differs', running, ours }, this.#differs);
  }

  #lookAfter(masterPid: number): void {
    this.#masterPid = masterPid;
    clearInterval(this.#adopted);
    this.#adopted = setInterval(() => {
      if (isAlive(masterPid)) return;
      clearInterval(this.#adopted);
      if (!this.#stopping) this.#ended('HAProxy, which an earlier pointsman had started, ended');
    }, adoptedMs);
  }

  /** Starts it and resolves when it serves. Rejects with Fault `address-in-use` or `haproxy-start`. */
  async start(): Promise<Processes> {
    const { executable, configFile, masterSocket, signal: ending } = this.#options;
    if (ending?.aborted) throw new Fault('haproxy-start', 'pointsman ends', { where: configFile });
    this.#output.forget();
    this.#stopping = false;
    clearInterval(this.#adopted);
    const { to, given } = await this.#output.open();
    const child = execa(executable, ['-W', '-S', `${masterSocket},mode,600`, '-f', configFile], {
      ...apart,
      reject: false,
      buffer: false,
      stdin: 'ignore',
      stdout: to,
      stderr: to,
    });
    given();
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) this.#output.follow(stream ?? null);
    let ended = false;
    let serves = false;
    void child.then((result) => {
      ended = true;
      if (this.#child !== child) return;
      this.#child = undefined;
      const how = result.signal ?? `exit code ${result.exitCode ?? '?'}`;
      // The Fault of the start reports an HAProxy that never served.
      if (!this.#stopping && serves) this.#ended(`HAProxy ended: ${how}`);
    });
    const deadline = performance.now() + startMs;
    for (;;) {
      if (ended) {
        await this.#output.rest();
        throw startFault(this.#output.lastLines, configFile);
      }
      const processes = await this.#find();
      if (processes?.workerPid !== undefined && (await this.#answers(processes.workerPid)) && !ended) {
        serves = true;
        this.#masterPid = processes.masterPid;
        await this.#hasLoaded();
        this.#differs = undefined;
        return processes;
      }
      if (performance.now() > deadline) {
        child.kill('SIGKILL');
        throw new Fault('haproxy-start', `HAProxy did not start within ${startMs / 1000} s`, { where: configFile });
      }
      await pause(5);
    }
  }

  /** Whether this worker has loaded its configuration: the master of 3.4 lists it before, and it may still fail. */
  async #answers(workerPid: number): Promise<boolean> {
    const { masterSocket } = this.#options;
    const info = await askWorker(masterSocket, workerPid, ['show info'], answerMs).catch(() => '');
    return new RegExp(`^Pid: ${workerPid}$`, 'm').test(info);
  }

  async processes(): Promise<Processes | undefined> {
    const processes = await readProcesses(this.#options.masterSocket, answerMs);
    if (processes !== undefined) this.#socket.answers();
    else if (this.#masterPid !== undefined && !this.#stopping) await this.#socket.restore(this.#masterPid);
    return processes;
  }

  async reload(): Promise<Processes> {
    this.#output.forget();
    try {
      const processes = await reloadMaster(this.#options.masterSocket, reloadMs);
      await this.#hasLoaded();
      this.#failed = withoutLoaded(this.#failed, listenersIn(this.#loaded, hostname()));
      // After an upgrade in place it executes the new file.
      if (this.#differs !== undefined) await this.#compare(processes.version);
      return processes;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      // Up to 2.7 the master answers nothing: why it failed is only in what it writes.
      const why = error.message.includes('[ALERT]') ? '' : alertsIn(this.#output.lastLines);
      this.#failed = withFailed(this.#failed, `${error.message}${why}`, performance.now());
      const { code, where, hint } = error;
      throw new Fault(code, `${error.message}${why}`, { where, hint, cause: error });
    }
  }

  get startedHere(): boolean {
    return this.#child !== undefined;
  }

  /** The next pointsman on the same folder takes it over, as after a crash. */
  leave(): void {
    this.#stopping = true;
    clearInterval(this.#adopted);
    // Neither the child nor its output keeps this process from ending.
    this.#output.close();
    this.#child?.stdout?.destroy();
    this.#child?.stderr?.destroy();
    this.#child?.unref();
  }

  /** Lets open requests finish for up to `graceMs`, then ends it. Resolves when no process is left. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#adopted);
    await this.#end(graceMs);
    await this.#output.rest();
    this.#output.close();
  }

  async #end(graceMs: number): Promise<void> {
    const processes = await this.#find();
    const pid = this.#child?.pid ?? processes?.masterPid ?? (await this.#silentMaster());
    if (pid === undefined) return;
    signal(pid, 'SIGUSR1');
    const text = `HAProxy finishes its open requests, for at most ${formatDuration(graceMs)} in all`;
    const ended = await sayWhile(this.#gone(pid, graceMs, this.#options.hurry), () =>
      this.#options.logger.info({ event: 'haproxy-ending', pid, graceMs }, text),
    );
    if (ended) return;
    signal(pid, 'SIGTERM');
    if (await this.#gone(pid, 2000)) return;
    const { workerPid } = processes ?? (await this.#find()) ?? {};
    for (const one of [pid, workerPid]) if (one !== undefined) signal(one, 'SIGKILL');
    await this.#gone(pid, 2000);
  }

  /** The master that served last, when it runs and does not answer: it loads a configuration, or its socket was deleted. */
  async #silentMaster(): Promise<number | undefined> {
    const pid = this.#masterPid;
    // Another process may have its number by now.
    if (pid === undefined || !isAlive(pid) || !(await hasInCommand(pid, this.#options.configFile))) return undefined;
    return pid;
  }

  async #gone(pid: number, deadlineMs: number, hurry?: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + deadlineMs;
    while (isAlive(pid)) {
      if (performance.now() > deadline || hurry?.aborted) return false;
      await pause(10);
    }
    return true;
  }
}
