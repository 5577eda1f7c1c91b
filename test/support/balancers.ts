import { join } from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { Fleet } from '../../src/fleet/fleet.ts';
import { openDirectoryRegistry } from '../../src/registry/directory/directory-registry.ts';
import { openEtcdRegistry } from '../../src/registry/etcd/etcd-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { type Answer, ask } from './ask.ts';
import { freePorts } from './ports.ts';
import { startPointsman } from './processes.ts';
import { endHaproxy, type RegistryKind, startScenario } from './scenario.ts';
import { until } from './until.ts';

const haproxy = process.env['HAPROXY_BIN'] === undefined ? [] : ['--haproxy', process.env['HAPROXY_BIN']];

/** A registry with any number of balancers, each with a real HAProxy, and their acknowledgements. */
export async function startBalancers(kind: RegistryKind) {
  const scenario = await startScenario(kind);
  const { dir, location, etcd } = scenario;
  const registry: Registry =
    etcd === undefined
      ? openDirectoryRegistry({ path: location.slice('dir:'.length), logger: pino({ level: 'silent' }) })
      : openEtcdRegistry({ endpoints: etcd.endpoints, root: '/pointsman/' });
  onTestFinished(() => registry.close());
  const fleet = new Fleet(registry);
  return {
    ...scenario,
    registry,
    fleet,
    /** Starts a balancer under this id. Its folder and ports are its own; `again` starts another process on them. */
    async balancerNamed(id: string, ...more: readonly string[]) {
      const [http = 0, admin = 0] = await freePorts(2);
      const folder = join(dir, `balancer-${http}`);
      const masterSocket = join(folder, 'run/master.sock');
      onTestFinished(() => endHaproxy(folder));
      const start = () =>
        startPointsman([
          ...['balance', '--registry', location, '--dir', folder, '--reload-interval', '50ms', '--id', id],
          ...[
            '--http',
            `127.0.0.1:${http}`,
            '--admin',
            `127.0.0.1:${admin}`,
            '--log-level',
            'debug',
            ...haproxy,
            ...more,
          ],
        ]);
      return {
        id,
        http,
        admin,
        masterSocket,
        process: start(),
        again: start,
        ask: (host: string, path = '/'): Promise<Answer> => ask(http, host, path),
        status: async () => JSON.parse((await ask(admin, 'localhost', '/status')).body),
      };
    },
    /** The acknowledgement of a balancer, once it is as wanted. */
    acknowledged(id: string, what: string, condition: (said: Said) => boolean): Promise<Said> {
      return until(
        `${id} acknowledges ${what}`,
        () => {
          const said = fleet.view.balancers.get(id);
          return said?.ok === true && condition(said.value) ? said.value : undefined;
        },
        { everyMs: 2, deadlineMs: 20_000 },
      );
    },
  };
}

type Said = Extract<ReturnType<Fleet['view']['balancers']['get']>, { ok: true }>['value'];
