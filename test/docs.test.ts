import { access, chmod, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { knownLayouts } from '../src/registry/layouts/known-layouts.ts';
import { commands } from '../src/settings/commands.ts';
import { fieldName } from '../src/settings/option.ts';
import { startApp } from './support/app.ts';
import { freePorts } from './support/ports.ts';
import { type PointsmanProcess, runPointsman, startPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { type Page, readPages } from './support/shown.ts';
import { until } from './support/until.ts';

const root = join(import.meta.dirname, '..');
const pages = await readPages();

/** Commands that take more than a shell, a registry and an HAProxy, and where they are run. */
const elsewhere: Readonly<Record<string, string>> = {
  'npm start': 'test/demo.test.ts',
  'npm run check': 'scripts/test.mjs',
  'npm test': '.ci/run',
  'npm install --global pointsman-0.1.0.tgz': 'test/package.test.ts',
  'docker/build': 'test/containers/containers.test.ts',
  'docker run -d --user 10001 -v shared:/var/lib/pointsman --entrypoint /opt/pointsman/haproxy/attached pointsman':
    'test/containers/containers.test.ts',
  'docker run -d -v shared:/var/lib/pointsman pointsman-register balance --haproxy-mode attached --dir /var/lib/pointsman …':
    'test/containers/containers.test.ts',
};
/** Pages that are followed whole. */
const pagesElsewhere: Readonly<Record<string, string>> = {
  'docs/from-confd.md': 'test/files/confd.test.ts',
  'docs/files.md': 'test/files/nginx.test.ts',
};

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

/** What a page takes for granted: before its first command, and before one of them. And what is so after the last. */
type Scene = {
  readonly given?: (world: World, page: Page) => Promise<void>;
  readonly before?: Readonly<Record<string, (world: World) => Promise<unknown>>>;
  readonly after?: (world: World) => Promise<unknown>;
};

/** An application that listens where the pages' commands say, and answers everything. */
const server = `for (const port of process.env.PORTS.split(','))
  require('node:http').createServer((_, response) => response.end('app')).listen(port, '127.0.0.1', () => console.log('listens'));
`;
const withServer = (world: World) => world.write('server.js', server);

/** A balancer that serves web/web-1 of v1 and web/web-7 of v2. */
async function withFleet(world: World): Promise<void> {
  const { app, put } = world;
  await put('services/web', '{"balance":"leastconn"}');
  await put('instances/web/web-1', JSON.stringify({ address: app, version: 'v1' }));
  await put('instances/web/web-7', JSON.stringify({ address: app, version: 'v2' }));
  await world.run('pointsman balance');
  await world.serves('web', ['app']);
}

const scenes: Readonly<Record<string, Scene>> = {
  'README.md': { given: withServer, after: (world) => world.serves('shop.example.com', ['app']) },
  'docs/checks.md': {
    async given({ write, path, put, app }) {
      await cp(join(root, 'templates'), path('templates'), { recursive: true });
      await write('etc/pointsman.yaml', 'http: 127.0.0.1:8000\n');
      await write('policies/web.json', '{"hosts":["shop.example.com"]}');
      await put('instances/web/web-1', app);
    },
  },
  'docs/deploys.md': {
    async given(world) {
      await withFleet(world);
      await world.write('bin/ssh', '#!/bin/sh\n');
      await chmod(world.path('bin/ssh'), 0o755);
    },
    before: {
      'pointsman wait web/web-7 --gone': ({ etcd }) => etcd.ctl('del', '/pointsman/instances/web/web-7'),
      'pointsman shift web --to v2 --weight 5%,25%,100% --every 30s --abort-if-errors 1%': async ({ put, app }) => {
        await put('instances/web/web-7', JSON.stringify({ address: app, version: 'v2' }));
        await put('services/web', '{"split":{"v1":100}}');
      },
    },
  },
  'docs/etcd.md': {
    async given(world) {
      await withFleet(world);
      // There is no systemd: etcd is stopped and started where the page says so.
      await world.write('bin/systemctl', '#!/bin/sh\n');
      await chmod(world.path('bin/systemctl'), 0o755);
    },
    before: {
      async 'systemctl stop etcd'({ etcd, put }) {
        await put('services/later', '{"hosts":["later.example"]}');
        await etcd.members[0]?.stop();
      },
      async 'systemctl start etcd'(world) {
        world.etcd.members[0]?.start();
        await world.etcd.healthy();
        const held = async () => JSON.parse((await world.askAdmin('/status')).body).held;
        await until(
          'what the backup does not have is held',
          async () => (await held())[0]?.keys.join() === 'services/later',
        );
        await world.serves('web', ['app']);
      },
    },
    async after(world) {
      await until('nothing is held', async () => JSON.parse((await world.askAdmin('/status')).body).held.length === 0);
      await world.serves('web', ['app']);
    },
  },
  'docs/https.md': {
    async given({ path }) {
      const folder = path('etc/pointsman/certificates');
      await mkdir(folder, { recursive: true });
      const files = ['-keyout', join(folder, 'key'), '-out', join(folder, 'cert')];
      await execa('openssl', [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-subj',
        '/CN=shop.example.com',
        ...files,
      ]);
      await execa('sh', ['-c', 'cat cert key > shop.pem; rm cert key'], { cwd: folder });
    },
  },
  'docs/install.md': {
    async given({ run, path }) {
      await mkdir(path('man/man1'), { recursive: true });
      await run('pointsman man > man/man1/pointsman.1');
    },
    before: {
      'etcdctl role grant-permission --prefix=true pointsman-balancer-swarm readwrite /pointsman/balancers/': ({
        run,
      }) => run('pointsman roles balancer/swarm | grep "role add" | sh'),
    },
  },
  'docs/operate.md': { given: withFleet },
  'docs/register.md': {
    async given(world, { yaml }) {
      await withServer(world);
      const [declaration = ''] = yaml;
      const here = world.here(declaration).replace('10.0.0.0/8', '127.0.0.0/8');
      await world.write('etc/pointsman/instances/web.yaml', here);
    },
    before: {
      'pointsman register --registry etcd://10.0.0.1:2379 --dir /etc/pointsman/instances --zone eu-1': async (
        world,
      ) => {
        await world.end('register');
        await world.run('node server.js');
      },
    },
  },
  'docs/policies.md': { given: withFleet, after: (world) => world.serves('shop.example.com', ['app']) },
  'docs/registry.md': {
    async given({ etcd, app, write }, { yaml }) {
      const [ip, port] = app.split(':');
      await etcd.ctl('put', '/services/web/host:web:80', app);
      await etcd.ctl('put', '/shops/shop/a', JSON.stringify({ net: { ip, port: Number(port) }, weight: 5 }));
      await etcd.ctl('put', '/app/upstream/app1', app);
      for (const [i, declaration] of yaml.entries())
        await write(`etc/pointsman/layout${i === 0 ? '' : i}.yaml`, declaration);
    },
    before: {
      'pointsman balance --layout /etc/pointsman/layout.yaml': (world) => world.serves('web', ['app']),
    },
    async after(world) {
      await world.serves('shop', ['app']);
      await world.run('pointsman balance --layout /etc/pointsman/layout1.yaml');
      await world.serves('app', ['app']);
    },
  },
  'docs/security.md': {
    async given(world) {
      await withFleet(world);
      await world.put('services/web', '{"hosts":["shop.example.com"]}');
      await world.put('services/api', '{"hosts":["other.example.com"]}');
      const [port = 0] = await freePorts(1);
      await world.put('services/db', JSON.stringify({ mode: 'tcp', port }));
      for (const key of ['instances/api/a', 'instances/db/a']) await world.put(key, world.app);
      await world.serves('other.example.com', ['app']);
    },
    async after(world) {
      await until('the host is left out', async () => (await world.ask('other.example.com')).status === 404);
      await world.serves('shop.example.com', ['app']);
      const conflicts = async () => JSON.parse((await world.askAdmin('/status')).body).conflicts;
      await until('the port is left out', async () => (await conflicts()).length === 2);
      expect(await conflicts()).toMatchObject([
        { kind: 'host', loser: 'api' },
        { kind: 'port', loser: 'db', ofClaim: true },
      ]);
    },
  },
  'docs/see.md': { given: withFleet },
};

/** A machine as the pages have it: its addresses and folders are others, and nothing else. */
async function openWorld() {
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
  const places: readonly (readonly [RegExp, string])[] = [
    [/etcd:\/\/[\d.:,]+/g, scenario.location],
    [/\/etc\//g, `${scenario.dir}/etc/`],
    [/\/var\/lib\/etcd\b/g, etcd.members[0]?.dataDir ?? ''],
    [/\betcd-1\b/g, etcd.members[0]?.name ?? ''],
    [/http:\/\/10\.0\.0\.1:2380\b/g, etcd.members[0]?.advertised ?? ''],
    [/0\.0\.0\.0:80\b/g, `127.0.0.1:${scenario.http}`],
    [/0\.0\.0\.0:443\b/g, `127.0.0.1:${https}`],
    [/(?<=[ =]):8080\b/g, `127.0.0.1:${ports[0]}`],
    [/(?<=[ =]):9090\b/g, `127.0.0.1:${ports[1]}`],
    [/\b10\.0\.0\.7:8080\b/g, app.address],
    [/--every 30s/g, '--every 1s'],
    [/\bSERVICE\b/g, 'web'],
    [/\bINSTANCE\b/g, 'web-1'],
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
    end,
    put: (key: string, value: string) => etcd.ctl('put', `/pointsman/${key}`, value),
    async run(command: string): Promise<void> {
      const [, name = ''] = command.split(' ');
      // A folder is a balancer's state for one, and declarations for the other.
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

const shown = pages.filter(({ name }) => pagesElsewhere[name] === undefined);

const toRun = shown.filter(
  ({ commands, settings }) => settings.length > 0 || commands.some((command) => elsewhere[command] === undefined),
);
test.each(toRun.map((page) => [page.name, page] as const))(
  'the commands of %s work as they stand there',
  async (_, page) => {
    const world = await openWorld();
    const { given, before = {}, after } = scenes[page.name] ?? {};
    await given?.(world, page);
    for (const command of page.commands) {
      if (elsewhere[command] !== undefined) continue;
      await before[command]?.(world);
      await world.run(command);
    }
    for (const { command, text } of page.settings) {
      await world.write('etc/pointsman.yaml', world.here(text));
      await world.run(command);
    }
    await after?.(world);
  },
);

test('each layout that is listed is followed', async () => {
  const text = await readFile(join(root, 'docs/registry.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(\w+)`[^|]* \| `([^`]+\/[^`]+)` \| `([^`]+)` \|$/gm)].map(
    ([, ...cells]) => cells,
  );
  expect(rows.map(([layout]) => layout).sort()).toEqual(Object.keys(knownLayouts).sort());
  const world = await openWorld();
  const [ip = '', port = ''] = world.app.split(':');
  for (const [layout = '', key = '', value = ''] of rows) {
    // A service of its own, which the balancer before this one did not know.
    const own = key.replace('/web/', `/${layout}/`);
    await world.etcd.ctl('put', own, value.replace('10.0.0.1', ip).replace(/\b80\b/, port));
    await world.run(`pointsman balance --layout ${layout}`);
    await world.serves(layout, ['app']);
  }
});

test('no command is said to be run elsewhere that is not shown any more, or in a place that is gone', async () => {
  const all = new Set(pages.flatMap((page) => [page.name, ...page.commands]));
  for (const [what, where] of Object.entries({ ...elsewhere, ...pagesElsewhere })) {
    expect(all).toContain(what);
    await access(join(root, where));
  }
  const named = new Set(pages.map(({ name }) => name));
  for (const [name, { before = {} }] of Object.entries(scenes)) {
    expect(named).toContain(name);
    for (const command of Object.keys(before)) expect(all).toContain(command);
  }
});

test('the commands that stand within sentences work, too', async () => {
  const world = await openWorld();
  await withFleet(world);
  await world.put('services/web', '{"balance":"leastconn"}');
  await cp(join(root, 'templates'), world.path('FOLDER'), { recursive: true });
  await world.write('web.json', '{"hosts":["shop.example.com"]}');
  // Of those that are only named, that there is one. Another balancer would want the ports of this one; files needs some.
  const asked = pages
    .flatMap(({ inline }) => inline)
    .map((command) => (/^pointsman ([a-z]+$|balance |files )/.test(command) ? `${command} --help` : command));
  // Those that take something out of service come after those that want it served.
  const changes = /^pointsman (drain|maintenance|weight|pause|clear|release)\b/;
  const ordered = [...new Set(asked)].sort((a, b) => Number(changes.test(a)) - Number(changes.test(b)));
  for (const command of ordered) await world.run(command);
});

test('every flag that is named is one', async () => {
  const ours = new Set(commands.flatMap(({ options }) => Object.keys(options).map((key) => `--${fieldName(key)}`)));
  // Of every command; of docker/build, of Docker and of etcd; and of none.
  const others = [
    '--help',
    '--version',
    '--config',
    '--base',
    '--tag',
    '--init',
    '--client-cert-auth',
    '--name',
    '--initial-cluster',
    '--initial-advertise-peer-urls',
    '--quota-backend-bytes',
    '--auto-compaction-mode',
    '--auto-compaction-retention',
    '--flag',
  ];
  const named = pages.flatMap(({ name, flags: all }) => all.map((flag) => ({ name, flag })));
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter(({ flag }) => !ours.has(flag) && !others.includes(flag))).toEqual([]);
});
