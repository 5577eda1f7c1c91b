import { setTimeout as pause } from 'node:timers/promises';
import { parseCommandString } from 'execa';
import { Fault } from '../model/fault.ts';
import { parseValidationOutput, tooSlow, type Validated } from './check.ts';
import { ForeignHaproxy, type Haproxy, type Processes } from './haproxy.ts';
import { runWithin } from './processes.ts';
import { connectRuntime } from './runtime-connection.ts';

export type CommandHaproxyOptions = {
  /** `haproxy -c -f {file}`; undefined when the reload has to decide. */
  readonly checkCommand: string | undefined;
  /** `systemctl reload haproxy`. */
  readonly reloadCommand: string;
  readonly runtimeSocket: string;
};

const reloadMs = 60_000;
const newWorkerMs = 30_000;
const greetingMs = 300;
const answerMs = 2000;
const lookAgainMs = 20;

/**
 * HAProxy behind two commands: one checks a file, one has it loaded. Whether it was loaded is read from the runtime
 * socket, where another worker must answer than before: an exit code says only that somebody was asked.
 */
export class CommandHaproxy extends ForeignHaproxy implements Haproxy {
  readonly versionDiffers = undefined;
  readonly #options: CommandHaproxyOptions;

  constructor(options: CommandHaproxyOptions) {
    super();
    this.#options = options;
  }

  async validate(file: string, deadlineMs: number): Promise<Validated> {
    const { checkCommand } = this.#options;
    if (checkCommand === undefined) return { ok: true };
    const { exitCode, output, timedOut } = await run(checkCommand, { file, deadlineMs, code: 'config-check' });
    if (timedOut) return { ok: false, problems: [tooSlow(deadlineMs)], mayPass: 'deadline' };
    return exitCode === 0 ? { ok: true } : { ok: false, problems: parseValidationOutput(output) };
  }

  findRunning(): Promise<Processes | undefined> {
    return this.processes();
  }

  start(): Promise<Processes> {
    return this.reload();
  }

  async processes(): Promise<Processes | undefined> {
    const { runtimeSocket: path } = this.#options;
    try {
      const connection = await connectRuntime({ path, greetingMs, answerMs, onLost: () => undefined });
      const [info = ''] = await connection.run(['show info']).finally(() => connection.close());
      const pid = /^Pid: (\d+)$/m.exec(info)?.[1];
      const version = /^Version: (\d+\.\d+[^\s-]*)/m.exec(info)?.[1];
      return pid === undefined
        ? undefined
        : { masterPid: undefined, workerPid: Number(pid), oldWorkers: 0, oldWorkerPids: [], version };
    } catch (error) {
      if (error instanceof Fault) return undefined;
      throw error;
    }
  }

  async reload(): Promise<Processes> {
    const { checkCommand, reloadCommand, runtimeSocket } = this.#options;
    const before = await this.processes();
    const { exitCode, output, timedOut } = await run(reloadCommand, { deadlineMs: reloadMs, code: 'haproxy-reload' });
    if (timedOut) {
      throw new Fault('haproxy-reload', `it took longer than ${reloadMs / 1000} s`, { where: reloadCommand });
    }
    if (exitCode !== 0) {
      const said = output.trim().split('\n').at(-1) ?? '';
      throw new Fault(
        checkCommand === undefined ? 'config-check' : 'haproxy-reload',
        `it ended with ${exitCode}${said === '' ? '' : `: ${said}`}`,
        { where: `--reload-command ${reloadCommand}`, hint: 'pointsman restored the former configuration' },
      );
    }
    const deadline = performance.now() + newWorkerMs;
    for (;;) {
      const now = await this.processes();
      if (now?.workerPid !== undefined && now.workerPid !== before?.workerPid) {
        return { ...now, oldWorkerPids: before?.workerPid === undefined ? [] : [before.workerPid] };
      }
      if (performance.now() > deadline) {
        throw new Fault('haproxy-reload', `it succeeded, but no new worker answers after ${newWorkerMs / 1000} s`, {
          where: `--reload-command ${reloadCommand}`,
          hint: `check that the command reloads the HAProxy whose stats socket is ${runtimeSocket}`,
        });
      }
      await pause(lookAgainMs);
    }
  }
}

type RunOptions = {
  /** The path that replaces `{file}`. */
  readonly file?: string;
  readonly deadlineMs: number;
  readonly code: 'config-check' | 'haproxy-reload';
};

/** Runs it without a shell: words end at spaces, and nothing in them is expanded but `{file}`. */
async function run(command: string, { file = '', deadlineMs, code }: RunOptions) {
  const [executable = '', ...args] = parseCommandString(command).map((word) => word.replaceAll('{file}', file));
  const { exitCode, output, ended, failure, cause } = await runWithin(executable, args, { deadlineMs, graceMs: 1000 });
  if (exitCode === undefined && ended === undefined) {
    throw new Fault(code, failure ?? 'it could not be run', { where: command, cause });
  }
  return { exitCode, output, timedOut: ended !== undefined };
}
