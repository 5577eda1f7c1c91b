import { createServer, type Server } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Registry } from '../src/registry/registry.ts';

/** The part of other services, or of what they share, that the attack aims at. */
type Kind =
  | 'quiet'
  | 'names'
  | 'cost of a policy'
  | 'memory'
  | 'descriptors'
  | 'reloads'
  | 'churn'
  | 'routes'
  | 'addresses'
  | 'rejections';

/** An attack by one tenant with the keys of its own service, `evil`. */
export type Attack = {
  readonly kind: Kind;
  readonly name: string;
  /** Ends when the signal is aborted, or before. */
  run(evil: Tenant, signal: AbortSignal): Promise<void>;
};

/** The keys that the tenant may write, and the ports of the balancer under attack. */
export type Tenant = {
  readonly write: (key: string, value: string) => ReturnType<Registry['write']>;
  readonly remove: Registry['remove'];
  readonly address: string;
  readonly http: number;
  readonly admin: number;
  /** A port that another program has. */
  readonly taken: number;
};

const policy = async ({ write }: Tenant, value: unknown): Promise<void> => {
  await write('services/evil', JSON.stringify(value));
};

/** Writes `count` instances, 50 at a time. */
async function instances({ write }: Tenant, count: number, value: (i: number) => string, signal: AbortSignal) {
  for (let i = 0; i < count && !signal.aborted; i += 50) {
    const some = Array.from({ length: Math.min(50, count - i) }, (_, n) => i + n);
    await Promise.all(some.map((n) => write(`instances/evil/e${n}`, value(n))));
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

const crossing = [...routes((i) => `a${i}.*`, { priority: 1 }), ...routes((i) => `*.b${i}.c`, {})];

/** One after the other, each against a balancer of its own. */
export const attacks: readonly Attack[] = [
  { kind: 'quiet', name: 'nothing', run: async () => undefined },
  {
    kind: 'names',
    name: '50 instances with host names that no nameserver answers',
    run: (evil, signal) => instances(evil, 50, (i) => `host${i}.attacker.invalid:80`, signal),
  },
  {
    kind: 'cost of a policy',
    name: '512 hosts `aN.*` with a priority and 512 hosts `*.bN.c`',
    run: (evil) => policy(evil, { routes: crossing }),
  },
  {
    kind: 'cost of a policy',
    name: 'the same, where an operator allows it the priority',
    run: async (evil) => {
      await evil.write('claims/evil', '{"priority":1000}');
      await policy(evil, { routes: crossing });
    },
  },
  {
    kind: 'memory',
    name: '4,100 instances with a field of 60 kB (`--limit-total`)',
    run: (evil, signal) =>
      instances(evil, 4100, (i) => `{"address":"${loopback(i)}","x":"${'x'.repeat(60_000)}"}`, signal),
  },
  {
    kind: 'memory',
    name: '400 values of 1.4 MB (`--limit-value`)',
    run: async (evil, signal) => {
      for (let i = 0; i < 400 && !signal.aborted; i += 1) {
        await evil.write(`instances/evil/e${i}`, 'x'.repeat(1_400_000));
      }
    },
  },
  { kind: 'descriptors', name: '4,000 instances', run: (evil, signal) => instances(evil, 4000, loopback, signal) },
  {
    kind: 'reloads',
    name: 'a policy that needs a reload, each 250 ms',
    run: async (evil, signal) => {
      await evil.write('instances/evil/e', evil.address);
      await repeatedly(250, signal, (round) => policy(evil, { timeouts: { server: `${10 + round}s` } }));
    },
  },
  {
    kind: 'reloads',
    name: 'a policy that HAProxy refuses, each 250 ms',
    run: async (evil, signal) => {
      await evil.write('instances/evil/e', evil.address);
      await repeatedly(250, signal, (round) => policy(evil, { mode: 'tcp', port: evil.taken, maxconn: 1 + round }));
    },
  },
  {
    kind: 'churn',
    name: '100 instances that come and go, each in turn',
    run: (evil, signal) =>
      repeatedly(1, signal, async (round) => {
        const key = `instances/evil/e${round % 100}`;
        await evil.write(key, loopback(round));
        await evil.remove(key);
      }),
  },
  {
    kind: 'churn',
    name: 'distinct policies of 13 kB, one after the other',
    run: (evil, signal) =>
      repeatedly(1, signal, (round) =>
        policy(evil, {
          routes: Array.from({ length: 8 }, (_, n) => ({
            hosts: Array.from({ length: 64 }, (_, i) => `h${n * 64 + i}.r${round}.example`),
          })),
        }),
      ),
  },
  {
    kind: 'routes',
    name: 'a policy `{"hosts":["*"],"priority":1000}` and one for the hosts of others, each 1 s',
    run: async (evil, signal) => {
      await evil.write('instances/evil/e', evil.address);
      await repeatedly(1000, signal, (round) =>
        policy(
          evil,
          round % 2 === 0
            ? { hosts: ['*'], priority: 1000 }
            : { hosts: ['web-0', 'web-1', 'web-19', 'web-0.*', '*'], priority: 1000 },
        ),
      );
    },
  },
  {
    kind: 'routes',
    name: 'a `tcp` policy for the port that HAProxy serves all on',
    run: async (evil) => {
      await evil.write('instances/evil/e', evil.address);
      await policy(evil, { mode: 'tcp', port: evil.http });
    },
  },
  {
    kind: 'addresses',
    name: "instances at the balancer's own ports, at 169.254.169.254, 0.0.0.0 and ::",
    run: async (evil) => {
      const own = [evil.http, evil.admin].map((port) => `127.0.0.1:${port}`);
      const addresses = [...own, '169.254.169.254:80', '0.0.0.0:80', '[::]:80'];
      await policy(evil, { hosts: ['evil'] });
      await Promise.all(addresses.map((address, i) => evil.write(`instances/evil/e${i}`, address)));
    },
  },
  {
    kind: 'rejections',
    name: '12,000 keys that are refused',
    run: (evil, signal) => instances(evil, 12_000, (i) => `\u001b[2J"; del server web-0/a ${i}`, signal),
  },
  { kind: 'quiet', name: 'nothing, again', run: async () => undefined },
];

/** A port that is taken, and what has it. */
export const takePort = (): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  });
