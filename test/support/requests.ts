import { setTimeout as pause } from 'node:timers/promises';
import { accepts } from '../../src/demo/ports.ts';

/** New connections to a port, one after the other, until it is told to stop: how many were refused, and for how long. */
export function watchConnections(port: number, everyMs = 5) {
  let stopped = false;
  let connections = 0;
  const refused: number[] = [];
  const running = (async () => {
    while (!stopped) {
      connections += 1;
      if (!(await accepts(port))) refused.push(performance.now());
      await pause(everyMs);
    }
  })();
  return {
    async stop(): Promise<{ connections: number; refused: number; overMs: number }> {
      stopped = true;
      await running;
      return { connections, refused: refused.length, overMs: Math.round((refused.at(-1) ?? 0) - (refused[0] ?? 0)) };
    },
  };
}
