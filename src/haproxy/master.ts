import { createConnection } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { errorCode, Fault } from '../model/fault.ts';
import type { Processes } from './haproxy.ts';
import { isAlive } from './processes.ts';
import { type Mark, replacedMark } from './worker-marks.ts';

/** The answer to `show proc` on the master's socket. */
type MasterAnswer = Processes & {
  readonly masterPid: number;
  readonly failedReloads: number;
  /** How often the master has executed itself anew; failed reloads count, too. */
  readonly reloads: number;
};

// A line that is longer than HAProxy's buffer of 16 KiB is not run at all; a name has up to 127 characters.
const commandsPerLine = 40;

const busyMs = 50;
// A master that has heard `reload` is silent at once, and answers again when it has executed itself anew.
const lostMs = 1000;

/**
 * Asks the master one thing and reads to the end. Rejects with Fault `haproxy-reload`. A connection that the master has no
 * room for at the moment (EAGAIN, its backlog is full) is tried again until the deadline: the command was not sent.
 */
async function askMaster(path: string, command: string, deadlineMs: number): Promise<string> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await askMasterOnce(path, command, Math.max(1, deadline - performance.now()));
    } catch (error) {
      const full = error instanceof Fault && errorCode(error.cause) === 'EAGAIN';
      if (!full || performance.now() + busyMs > deadline) throw error;
      await pause(busyMs);
    }
  }
}

function askMasterOnce(path: string, command: string, deadlineMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    let answer = '';
    const fail = (what: string, cause?: unknown) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Fault('haproxy-reload', what, { where: path, cause }));
    };
    const timer = setTimeout(() => fail(`the master did not answer ${command} within ${deadlineMs} ms`), deadlineMs);
    socket.setEncoding('latin1');
    // The master keeps the connection open after an answer; a half-close makes it end after this one.
    socket.once('connect', () => socket.end(`${command}\n`));
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.once('error', (error) => fail(error.message, error));
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

/** Reads what `show proc` answers. Undefined when it is not such an answer (the master is re-executing itself). */
export function parseProcesses(answer: string): MasterAnswer | undefined {
  const master = /^(\d+)\s+master\s+(\d+) \[failed: (\d+)\](?:\s+\S+\s+(\d+\.\d+[^\s-]*))?/m.exec(answer);
  if (!master) return undefined;
  const [current = '', old = ''] = answer.split('# old workers');
  const olds = [...old.matchAll(/^(\d+)\s+worker\s+(\d+)/gm)]
    .map(([, pid, reloads]) => ({ pid: Number(pid), reloads: Number(reloads) }))
    .sort((a, b) => a.reloads - b.reloads);
  const pid = /^(\d+)\s+worker\s/m.exec(current)?.[1];
  // 3.4 goes on listing the serving worker as an old one when its successor died while loading.
  const serving = pid === undefined ? olds.shift()?.pid : Number(pid);
  return {
    masterPid: Number(master[1]),
    failedReloads: Number(master[3]),
    reloads: Number(master[2]),
    workerPid: serving,
    oldWorkers: olds.length,
    oldWorkerPids: olds.map(({ pid }) => pid),
    version: master[4],
  };
}

/** The processes, or undefined while the master does not say. */
export async function readProcesses(path: string, deadlineMs: number): Promise<MasterAnswer | undefined> {
  try {
    return parseProcesses(await askMaster(path, 'show proc', deadlineMs));
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** Runs commands on a worker through the master, an old one too: all their answers in one. Rejects with a Fault. */
export async function askWorker(
  path: string,
  pid: number,
  commands: readonly string[],
  deadlineMs: number,
): Promise<string> {
  const answers: string[] = [];
  for (let i = 0; i < commands.length; i += commandsPerLine) {
    const line = commands.slice(i, i + commandsPerLine).map((command) => `@!${pid} ${command}`);
    const answer = await askMaster(path, line.join(';'), deadlineMs);
    if (answer.startsWith("Can't find the target")) {
      throw new Fault('haproxy-runtime', `the worker ${pid} is gone`, { where: path });
    }
    answers.push(answer);
  }
  return answers.join('\n');
}

/** Sets a mark of a worker. Rejects with a Fault when the worker does not take it. */
export async function setMark(path: string, pid: number, mark: Mark, deadlineMs: number): Promise<void> {
  const [mode = '', ...commands] = mark.commands;
  const line = [mode, ...commands.map((command) => `@!${pid} ${command}`)].join(';');
  const answer = await askMaster(path, line, deadlineMs);
  if (mark.isTaken(answer)) return;
  throw new Fault('haproxy-runtime', `the worker ${pid} answered ${JSON.stringify(answer.trim().slice(0, 200))}`, {
    where: path,
  });
}

/** Tells a worker that another one serves instead: it passes the requests on that its clients still send. */
export const tellReplaced = (path: string, pid: number, deadlineMs: number): Promise<void> =>
  setMark(path, pid, replacedMark, deadlineMs);

/**
 * Reloads and gives the new processes, once the new worker serves. Rejects with Fault `haproxy-refused` when HAProxy
 * refused the configuration, in which case the old worker still serves, and `haproxy-reload` when it did not come to that.
 * `hasEnded`: whether the master is gone for good, after so many ms without an answer.
 */
export async function reloadMaster(
  path: string,
  deadlineMs: number,
  hasEnded = (masterPid: number, _quietMs: number): boolean => !isAlive(masterPid),
): Promise<MasterAnswer> {
  const deadline = performance.now() + deadlineMs;
  const before = await readProcesses(path, 2000);
  if (before === undefined) throw new Fault('haproxy-reload', 'the master does not answer', { where: path });
  let asked = await askReload(path, deadline);
  let answered = performance.now();
  for (;;) {
    const now = await readProcesses(path, 1000);
    if (now !== undefined) {
      answered = performance.now();
      if (now.failedReloads > before.failedReloads) throw refused(path, '');
      if (now.workerPid !== undefined && now.workerPid !== before.workerPid) return now;
      // Nothing has happened: a master that is just starting can drop a connection with what was said on it (seen on 3.4).
      if (now.reloads === before.reloads && performance.now() - asked > lostMs) asked = await askReload(path, deadline);
    }
    if (now === undefined && hasEnded(before.masterPid, performance.now() - answered)) {
      throw new Fault('haproxy-reload', 'HAProxy ended while it was reloading', { where: path });
    }
    if (performance.now() > deadline) {
      throw new Fault('haproxy-reload', `no new worker within ${deadlineMs} ms`, { where: path });
    }
    // Up to 2.7 `reload` answers nothing, and the new worker has to be looked for; it takes 50 ms or more to load.
    await pause(5);
  }
}

/** Sends `reload` until the master answers; resolves with the time of the answer. Rejects with Fault `haproxy-refused`. */
async function askReload(path: string, deadline: number): Promise<number> {
  for (;;) {
    const answer = await askMaster(path, 'reload', Math.max(1, deadline - performance.now())).catch(
      (error: unknown) => {
        // 2.6 drops the connection when the master re-executes itself, with or without a reset.
        if (error instanceof Fault && performance.now() < deadline) return '';
        throw error;
      },
    );
    // Of another's reload, or of the very first worker: neither is about our file.
    const busy = /reload is still in progress/i.test(answer);
    if (busy && performance.now() < deadline) await pause(busyMs);
    else if (answer.includes('Success=0')) throw refused(path, answer.replace(/^Success=0\s*(--)?\s*/, '').trim());
    else return performance.now();
  }
}

function refused(path: string, log: string): Fault {
  return new Fault('haproxy-refused', `HAProxy refused the reload${alertsIn(log.split('\n'))}`, {
    where: path,
    hint: "the old worker keeps serving; see HAProxy's log",
  });
}

/** The alerts of HAProxy, as the end of a message. The last alert only says that there was an error. */
export function alertsIn(lines: readonly string[]): string {
  const alerts = lines.filter((line) => line.includes('[ALERT]')).map((line) => line.trim());
  return alerts.length === 0 ? '' : `: ${alerts.slice(0, 5).join('; ')}`;
}
