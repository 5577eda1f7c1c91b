import { Agent } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { ask } from '../test/support/ask.ts';

export type SteadyLoadOptions = {
  /** Where HAProxies serve; each gets the same. */
  readonly ports: readonly number[];
  readonly host: string;
  /** Clients that keep their connection, and clients that open one for each request. */
  readonly keepAlive: number;
  readonly fresh: number;
  /** Clients that always have a request of 2 s open. */
  readonly slow: number;
  /** Between an answer and the next request of a client, in ms. */
  readonly everyMs: number;
};

export type SteadyResult = {
  readonly answered: number;
  readonly slowAnswered: number;
  readonly failed: number;
  readonly reasons: readonly string[];
  /** How many answers each text was. */
  readonly bodies: ReadonlyMap<string, number>;
};

/** Clients as they are in production: each asks, waits for the answer, and asks again a moment later, until stopped. */
export function startSteadyLoad(options: SteadyLoadOptions): {
  result(): SteadyResult;
  stop(): Promise<SteadyResult>;
} {
  const { ports, host, everyMs } = options;
  const counts = { answered: 0, slowAnswered: 0, failed: 0 };
  const reasons = new Map<string, number>();
  const bodies = new Map<string, number>();
  const agents: Agent[] = [];
  let stopping = false;
  const count = (map: Map<string, number>, name: string) => map.set(name, (map.get(name) ?? 0) + 1);

  const client = async (port: number, path: string, keepAlive: boolean) => {
    const agent = new Agent({ keepAlive, maxSockets: 1 });
    agents.push(agent);
    while (!stopping) {
      try {
        const { status, body } = await ask(port, host, path, { agent, deadlineMs: 20_000 });
        if (status !== 200) throw new Error(`status ${status}`);
        counts.answered += 1;
        if (path !== '/') counts.slowAnswered += 1;
        count(bodies, body);
      } catch (error) {
        counts.failed += 1;
        count(reasons, `${path} ${error instanceof Error ? error.message : String(error)}`);
      }
      await pause(everyMs);
    }
  };
  const clients = ports.flatMap((port) => [
    ...Array.from({ length: options.keepAlive }, () => client(port, '/', true)),
    ...Array.from({ length: options.fresh }, () => client(port, '/', false)),
    ...Array.from({ length: options.slow }, () => client(port, '/slow', true)),
  ]);
  const result = () => ({ ...counts, reasons: [...reasons].map(([reason, n]) => `${n} × ${reason}`), bodies });
  return {
    result,
    async stop() {
      stopping = true;
      await Promise.all(clients);
      for (const agent of agents) agent.destroy();
      return result();
    },
  };
}

/** An application as CommonJS text: answers with its name, /slow after 2 s, and dies at once when it is told to end. */
export const application = `const [name, port] = process.argv.slice(2);
require('node:http').createServer((req, res) => {
  if (req.url === '/slow') setTimeout(() => res.end(name), 2000);
  else res.end(name);
}).listen(Number(port), '127.0.0.1');
`;
