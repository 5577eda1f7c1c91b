import { createServer, type Server } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Registry } from '../src/registry/registry.ts';

/** What one tenant does with the keys of its own service, `evil`. */
export type Attack = {
  readonly name: string;
  /** Ends when the signal is aborted, or before. */
  run(evil: Tenant, signal: AbortSignal): Promise<void>;
};

/** The keys that the tenant may write, and the ports of the balancer under attack. */
export type Tenant = {
  readonly registry: Registry;
  readonly address: string;
  readonly http: number;
  readonly admin: number;
  /** A port that another program has. */
  readonly taken: number;
};

const policy = async ({ registry }: Tenant, value: unknown): Promise<void> => {
  await registry.write('services/evil', JSON.stringify(value));
};

/** Writes `count` instances, 50 at a time. */
async function instances({ registry }: Tenant, count: number, value: (i: number) => string, signal: AbortSignal) {
  for (let i = 0; i < count && !signal.aborted; i += 50) {
    const some = Array.from({ length: Math.min(50, count - i) }, (_, n) => i + n);
    await Promise.all(some.map((n) => registry.write(`instances/evil/e${n}`, value(n))));
  }
}

/** Does something again and again. */
async function repeatedly(everyMs: number, signal: AbortSignal, act: (round: number) => Promise<unknown>) {
  for (let round = 0; !signal.aborted; round += 1) {
    await act(round);
    await pause(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

const loopback = (i: number) => `127.77.${Math.floor(i / 250) % 250}.${1 + (i % 250)}:9`;
const routes = (host: (i: number) => string, more: object) =>
  Array.from({ length: 8 }, (_, n) => ({ hosts: Array.from({ length: 64 }, (_, i) => host(n * 64 + i)), ...more }));

/** The kinds of the issue "One tenant, one client, one value cannot stop, read or mislead the others". */
export const attacks: readonly Attack[] = [
  { name: 'nothing', run: async () => undefined },
  {
    name: '50 instances whose host names do not resolve',
    run: (evil, signal) => instances(evil, 50, (i) => `host${i}.attacker.invalid:80`, signal),
  },
  {
    name: '512 hosts `aN.*` with a priority and 512 hosts `*.bN.c`',
    run: (evil) =>
      policy(evil, { routes: [...routes((i) => `a${i}.*`, { priority: 1 }), ...routes((i) => `*.b${i}.c`, {})] }),
  },
  {
    name: '4,100 instances with a field of 60 kB',
    run: (evil, signal) =>
      instances(evil, 4100, (i) => `{"address":"${loopback(i)}","x":"${'x'.repeat(60_000)}"}`, signal),
  },
  {
    name: '100 values of 1.4 MB',
    run: async (evil, signal) => {
      for (let i = 0; i < 100 && !signal.aborted; i += 1) {
        await evil.registry.write(`instances/evil/e${i}`, 'x'.repeat(1_400_000));
      }
    },
  },
  { name: '4,000 instances', run: (evil, signal) => instances(evil, 4000, loopback, signal) },
  {
    name: '100 instances that come and go, each in turn',
    run: (evil, signal) =>
      repeatedly(1, signal, async (round) => {
        const key = `instances/evil/e${round % 100}`;
        await evil.registry.write(key, loopback(round));
        await evil.registry.remove(key);
      }),
  },
  {
    name: "instances at the balancer's own ports, at 169.254.169.254, at 0.0.0.0",
    run: async (evil) => {
      const addresses = [
        `127.0.0.1:${evil.http}`,
        `127.0.0.1:${evil.admin}`,
        '169.254.169.254:80',
        '0.0.0.0:80',
        '[::]:80',
      ];
      await policy(evil, { hosts: ['evil'] });
      await Promise.all(addresses.map((address, i) => evil.registry.write(`instances/evil/e${i}`, address)));
    },
  },
  {
    name: 'a policy `{"hosts":["*"],"priority":1000}` and one for the hosts of others',
    run: async (evil, signal) => {
      await evil.registry.write('instances/evil/e', evil.address);
      await repeatedly(2000, signal, (round) =>
        policy(
          evil,
          round % 2 === 0 ? { hosts: ['*'], priority: 1000 } : { hosts: ['web-0', 'web-1', 'w*'], priority: 1000 },
        ),
      );
    },
  },
  {
    name: 'a policy that needs a reload, each 500 ms',
    run: async (evil, signal) => {
      await evil.registry.write('instances/evil/e', evil.address);
      await repeatedly(500, signal, (round) => policy(evil, { timeouts: { server: `${10 + round}s` } }));
    },
  },
  {
    name: 'a `tcp` policy for a port that another program has',
    run: async (evil) => {
      await evil.registry.write('instances/evil/e', evil.address);
      await policy(evil, { mode: 'tcp', port: evil.taken });
    },
  },
  {
    name: 'a `tcp` policy for the port that HAProxy serves all on',
    run: async (evil) => {
      await evil.registry.write('instances/evil/e', evil.address);
      await policy(evil, { mode: 'tcp', port: evil.http });
    },
  },
  {
    name: '12,000 keys that are refused',
    run: (evil, signal) => instances(evil, 12_000, (i) => `\u001b[2J"; del server web-0/a ${i}`, signal),
  },
  {
    name: '2,000 distinct policies of 13 kB',
    run: (evil, signal) =>
      repeatedly(1, signal, (round) =>
        policy(evil, { hosts: Array.from({ length: 500 }, (_, i) => `h${i}.r${round}.example`) }),
      ),
  },
];

/** A port that is taken, and what has it. */
export const takePort = (): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  });
