import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { formatDuration } from '../model/quantity.ts';
import { sayWhile } from '../waiting/say-while.ts';
import { aborted } from '../waiting/time-limit.ts';
import type { RunningCommand } from './command.ts';
import { type ProcessEntry, ProcessTree } from './process-tree.ts';

/** The deadline of a stage of the leave: its time, or the next signal. */
export class StageDeadline {
  #stage: AbortController | undefined;

  /** Runs one stage; its signal aborts after `ms`, or when `end` is called meanwhile. */
  async within<T>(ms: number, stage: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#stage = controller;
    const timer = setTimeout(() => controller.abort(), ms);
    try {
      return await stage(controller.signal);
    } finally {
      clearTimeout(timer);
      this.#stage = undefined;
    }
  }

  /** Ends the stage that runs now; each further SIGTERM does. */
  end(): void {
    this.#stage?.abort();
  }
}

/** How often those that the command left behind are looked for, in ms. */
const lookMs = 20;
/** A process may start others while it is killed. */
const mostRounds = 10;

/**
 * Ends the command and all that it has started. The command gets SIGTERM, and may end its own children. A child that outlives
 * it gets SIGTERM as well: `sh -c 'app & wait'` ends without a signal to `app`. Processes that are left after `graceMs` get
 * SIGKILL. Resolves with the command's exit code.
 */
export async function endCommand(
  command: RunningCommand,
  graceMs: number,
  stages: StageDeadline,
  logger: Logger,
): Promise<number> {
  const tree = new ProcessTree(command.pid);
  tree.look();
  command.signal('SIGTERM');
  const ending = stages.within(graceMs, async (signal) => {
    const code = await Promise.race([command.ended, aborted(signal)]);
    if (code === undefined) return undefined;
    const left = tree.look();
    if (left.length > 0) {
      const message = 'the command ended but left processes; pointsman sends them SIGTERM';
      logger.info({ event: 'command-left-processes', processes: left.length }, message);
      for (const process of left) send(process, 'SIGTERM');
    }
    while (tree.look().length > 0) {
      if (signal.aborted) return undefined;
      await pause(lookMs, undefined, { signal }).catch(() => undefined);
    }
    return code;
  });
  const exitCode = await sayWhile(ending, () =>
    logger.info(
      { event: 'command-ending', graceMs },
      `the command has SIGTERM; it is killed ${formatDuration(graceMs)} after it`,
    ),
  );
  if (exitCode !== undefined) return exitCode;
  logger.warn({ event: 'command-killed', graceMs }, 'the command did not end in time; pointsman kills it');
  command.signal('SIGKILL');
  for (let round = 0; round < mostRounds; round += 1) {
    const left = tree.look();
    if (left.length === 0) break;
    for (const process of left) send(process, 'SIGKILL');
    await pause(lookMs);
  }
  return command.ended;
}

function send({ pid }: ProcessEntry, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile, or has another user's rights now.
  }
}
