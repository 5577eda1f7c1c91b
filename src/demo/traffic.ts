import { Agent, request } from 'node:http';

export type DemoTraffic = {
  /** Answered since the last call, by instance; and all that failed since the beginning. */
  take(): { readonly byInstance: ReadonlyMap<string, number>; readonly failed: number; readonly lastFailure: string };
  /** All since the beginning. */
  readonly total: { readonly answered: number; readonly failed: number };
  stop(): void;
};

/** Asks the balancer again and again, as a client with keep-alive connections does. */
export function startTraffic(port: number, everyMs: number): DemoTraffic {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let counts = new Map<string, number>();
  let answered = 0;
  let failed = 0;
  let lastFailure = '';
  const fail = (reason: string) => {
    failed += 1;
    lastFailure = reason;
  };
  const timer = setInterval(() => {
    const outgoing = request({ host: '127.0.0.1', port, agent, timeout: 5000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => {
        const name = body.split(' ')[0] ?? '';
        if (response.statusCode !== 200) return fail(`status ${response.statusCode}`);
        answered += 1;
        counts.set(name, (counts.get(name) ?? 0) + 1);
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 5 s')));
    outgoing.on('error', (error) => fail(error.message));
    outgoing.end();
  }, everyMs);
  return {
    take() {
      const byInstance = counts;
      counts = new Map();
      return { byInstance, failed, lastFailure };
    },
    get total() {
      return { answered, failed };
    },
    stop() {
      clearInterval(timer);
      agent.destroy();
    },
  };
}
