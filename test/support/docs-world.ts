import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startApp } from './app.ts';
import { freePorts } from './ports.ts';
import { type PointsmanProcess, runPointsman, startPointsman } from './processes.ts';
import { startScenario } from './scenario.ts';
import type { Page } from './shown.ts';
import { until } from './until.ts';

export const root = join(import.meta.dirname, '../..');

/** Commands that go on, and how it is known that they have come to do what they are for. */
const goingOn: readonly (readonly [RegExp, (process: PointsmanProcess) => Promise<unknown>])[] = [
  [
    /^pointsman (render --watch|balance --dry-run)/,
    (process) => until('it says something', () => process.stdout.length > 0),
  ],
  [/^pointsman balance\b(?!.*--help)/, (process) => process.logged('serving')],
  [/^pointsman register\b(?!.*--help)/, (process) => process.logged('announced')],
  [/^node\b/, (process) => process.printed('listens')],
];

type World = Awaited<ReturnType<typeof openWorld>>;

/** The state that a page assumes before its first command, before others, and that it promises after the last. */
export type Scene = {
  readonly given?: (world: World, page: Page) => Promise<void>;
  readonly before?: Readonly<Record<string, (world: World) => Promise<unknown>>>;
  readonly after?: (world: World, page: Page) => Promise<unknown>;
};

/** An application that listens where the pages' commands say, and answers everything. */
const server = `for (const port of process.env.PORTS.split(','))
  require('node:http').createServer((_, response) => response.end('app')).listen(port, '127.0.0.1', () => console.log('listens'));
`;
export const withServer = (world: World) => world.write('server.js', server);

/** A balancer that serves web/web-1 of v1 and web/web-7 of v2. */
export async function withFleet(world: World): Promise<void> {
  const { app, put } = world;
  await put('services/web', '{"balance":"leastconn"}');
  await put('instances/web/web-1', JSON.stringify({ address: app, version: 'v1' }));
  await put('instances/web/web-7', JSON.stringify({ address: app, version: 'v2' }));
  await world.run('pointsman balance');
  await world.serves('web', ['app']);
}

/** A machine as the pages have it: its addresses and folders are others, and nothing else. */
export async function openWorld() {
  const scenario = await startScenario('etcd');
  const { etcd } = scenario;
  if (etcd === undefined) throw new Error('a scenario in etcd has one');
  const [https = 0, ...ports] = await freePorts(3);
  const app = await startApp('app');
  onTestFinished(() => app.close());
  const path = (name: string) => join(scenario.dir, name);
  const write = async (name: string, text: string) => {
    await mkdir(dirname(path(name)), { recursive: true });
    await writeFile(path(name), text);
  };
  const places: (readonly [RegExp | string, string])[] = [
    [/etcd:\/\/[\d.:,]+/g, scenario.location],
    [/\/etc\//g, `${scenario.dir}/etc/`],
    [/\/srv\//g, `${scenario.dir}/srv/`],
    [/\b127\.0\.0\.1:8080\b/g, `127.0.0.1:${ports[0]}`],
    [/\/var\/lib\/etcd\/default\b/g, etcd.members[0]?.dataDir ?? ''],
    [/\betcd-1\b/g, etcd.members[0]?.name ?? ''],
    [/http:\/\/10\.0\.0\.1:2380\b/g, etcd.members[0]?.advertised ?? ''],
    [/0\.0\.0\.0:80\b/g, `127.0.0.1:${scenario.http}`],
    [/\b(0\.0\.0\.0|127\.0\.0\.1):443\b/g, `127.0.0.1:${https}`],
    [/(?<=[ =]):8080\b/g, `127.0.0.1:${ports[0]}`],
    [/(?<=[ =]):9090\b/g, `127.0.0.1:${ports[1]}`],
    [/\b10\.0\.0\.(7:8080|5:8888)\b/g, app.address],
    [/--every 30s/g, '--every 1s'],
    [/\bSERVICE\b/g, 'web'],
    [/\bINSTANCE\b/g, 'web-1'],
    [/--renew HOST\b/g, '--renew shop.example.com'],
  ];
  const here = (text: string) => places.reduce((now, [from, to]) => now.replaceAll(from, to), text);
  await mkdir(path('bin'));
  await symlink(join(root, 'bin/pointsman'), path('bin/pointsman'));
  const folders = [path('bin'), ...(process.env['ETCD_ROOT'] === undefined ? [] : [process.env['ETCD_ROOT']])];
  const options = {
    executable: 'bash',
    cwd: scenario.dir,
    env: {
      PATH: `${folders.join(':')}:${process.env['PATH']}`,
      ETCDCTL_API: '3',
      ETCDCTL_ENDPOINTS: scenario.location.replace('etcd://', ''),
      POINTSMAN_REGISTRY: scenario.location,
      POINTSMAN_ADMIN: `127.0.0.1:${scenario.admin}`,
      POINTSMAN_HTTP: `127.0.0.1:${scenario.http}`,
      PORTS: ports.join(','),
      MANPATH: path('man'),
      hosts: '1 7',
    },
  };
  const goes = new Map<string, PointsmanProcess>();
  /** Ends what an earlier command of this name left running. */
  const end = async (name: string) => {
    goes.get(name)?.kill('SIGTERM');
    await goes.get(name)?.ended;
  };
  return {
    ...scenario,
    etcd,
    app: app.address,
    path,
    write,
    here,
    /** What a page shows is something else here. */
    replace: (shown: string, by: string) => void places.push([shown, by]),
    end,
    put: (key: string, value: string) => etcd.ctl('put', `/pointsman/${key}`, value),
    async run(command: string): Promise<void> {
      const [, name = ''] = command.split(' ');
      const env = /^(balance|render)$/.test(name)
        ? { ...options.env, POINTSMAN_DIR: scenario.balancerDir }
        : options.env;
      const [, ready] = goingOn.find(([pattern]) => pattern.test(command)) ?? [];
      if (ready === undefined) {
        const { code, stdout, stderr } = await runPointsman(['-c', here(command)], { ...options, env });
        if (code !== 0) throw new Error(`${command}\nended with ${code}:\n${[...stdout, ...stderr].join('\n')}`);
        return;
      }
      await end(name);
      const process = startPointsman(['-c', `exec ${here(command)}`], { ...options, env });
      goes.set(name, process);
      await ready(process);
    },
  };
}
