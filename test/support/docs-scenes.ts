import { chmod, cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished } from 'vitest';
import { startLoad } from '../../bench/load.ts';
import { root, type Scene, withFleet, withServer } from './docs-world.ts';
import { startPebble } from './pebble.ts';
import { freePorts } from './ports.ts';
import { until } from './until.ts';

/** Writes a certificate for this name, signed by itself, and its key. */
async function issue(folder: string, name: string, [certificate = '', key = '']: readonly string[]): Promise<void> {
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  const files = ['-keyout', key, '-out', certificate];
  await execa('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject, ...files], { cwd: folder });
}

export const scenes: Readonly<Record<string, Scene>> = {
  'README.md': { given: withServer, after: (world) => world.serves('shop.example.com', ['app']) },
  'docs/backup.md': {
    async given(world) {
      await withFleet(world);
      // There is no systemd: etcd is stopped and started where the page says so.
      await world.write('bin/systemctl', '#!/bin/sh\n');
      await chmod(world.path('bin/systemctl'), 0o755);
      // etcd runs as the user of the test, and not as etcd.
      await world.write('bin/chown', '#!/bin/sh\n');
      await chmod(world.path('bin/chown'), 0o755);
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
      'pointsman shift web --to v2 --weight 5%,25%,100% --every 30s --abort-if-errors 1%': async (world) => {
        const { put, app } = world;
        await put('instances/web/web-7', JSON.stringify({ address: app, version: 'v2' }));
        await put('services/web', '{"split":{"v1":100}}');
        // A step without requests is not judged, so it would not pass.
        const load = startLoad(world.http, 'web', 1);
        onTestFinished(async () => void (await load.stop()));
      },
    },
  },
  'docs/etcd.md': { given: withFleet },
  'docs/https.md': {
    async given({ dir, path, write, put, app, http, replace }) {
      await put('instances/web/web-1', app);
      await issue(dir, 'shop.example.com', ['fullchain.pem', 'privkey.pem']);
      await mkdir(path('etc/pointsman'), { recursive: true });
      const pebble = await startPebble();
      onTestFinished(() => pebble.close());
      pebble.validators.ask(http);
      const [, , caFlag = '', caFile = ''] = pebble.flags;
      replace('https://acme-v02.api.letsencrypt.org/directory', `${pebble.directory} ${caFlag} ${caFile}`);
      // curl trusts the certificates of this page, as it would trust those of a public authority.
      await write('trusted.pem', `${await readFile(path('fullchain.pem'), 'utf8')}${await pebble.root()}`);
      await write('bin/curl', `#!/bin/sh\nexec /usr/bin/curl --fail --cacert ${path('trusted.pem')} "$@"\n`);
      await chmod(path('bin/curl'), 0o755);
    },
    before: {
      // The redirect of the first part still holds in the second.
      'curl --connect-to ::127.0.0.1:443 https://shop.example.com/': (world) =>
        until('the host is redirected', async () => (await world.ask('shop.example.com')).status === 308),
    },
    // A challenge is answered and not redirected. The hooks of the page copy a certificate, which is then served.
    async after(world, { scripts }) {
      const { dir, path, here } = world;
      const statuses = async () => [
        (await world.ask('shop.example.com')).status,
        (await world.ask('shop.example.com', '/.well-known/acme-challenge/token')).status,
      ];
      await until('only the challenge is answered', async () => (await statuses()).join() === '308,200');
      const names = ['fullchain.pem', 'privkey.pem'].map((name) => `live/certbot.example.com/${name}`);
      await mkdir(path('live/certbot.example.com'), { recursive: true });
      await issue(dir, 'certbot.example.com', names);
      await issue(dir, 'lego.example.com', ['lego.example.com.crt', 'lego.example.com.key']);
      const variables: readonly Record<string, string>[] = [
        { RENEWED_LINEAGE: path('live/certbot.example.com') },
        { LEGO_HOOK_CERT_PATH: path('lego.example.com.crt'), LEGO_HOOK_CERT_KEY_PATH: path('lego.example.com.key') },
        { LEGO_CERT_PATH: path('lego.example.com.crt'), LEGO_CERT_KEY_PATH: path('lego.example.com.key') },
      ];
      const [, certbot = '', lego = ''] = scripts;
      for (const [i, script] of [certbot, lego, lego].entries())
        await execa('sh', ['-c', here(script)], { env: variables[i] ?? {} });
      const served = async () =>
        JSON.parse((await world.askAdmin('/status')).body).certificates.map(({ name }: { name: string }) => name);
      const wanted = ['certbot.example.com', 'lego.example.com', 'shop.example.com', 'test.example.com'];
      await until('each certificate is served', async () => (await served()).join() === wanted.join());
    },
  },
  'docs/from-haproxy-cfg.md': {
    async given({ write, path }) {
      await cp(join(root, 'templates'), path('templates'), { recursive: true });
      await write('policies/web.json', '{"hosts":["shop.example.com"]}');
    },
  },
  'docs/from-registrator.md': {
    given: ({ etcd, app }) => etcd.ctl('put', '/services/web/host-1:web_1:80', app).then(() => undefined),
    after: (world) => world.serves('web', ['app']),
  },
  'docs/from-traefik.md': {
    async given({ etcd, app, write }) {
      await etcd.ctl('put', 'traefik/http/services/web/loadbalancer/servers/0/url', `http://${app}/`);
      await write('web.json', '{"hosts":["shop.example.com"]}');
    },
    after: (world) => world.serves('web', ['app']),
  },
  'docs/install.md': {
    async given({ run, path }) {
      await mkdir(path('man/man1'), { recursive: true });
      await run('pointsman man > man/man1/pointsman.1');
    },
  },
  'docs/start-one-machine.md': { given: withServer, after: (world) => world.serves('shop.example.com', ['app']) },
  'docs/start-swarm.md': {
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
      'pointsman register --registry etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379 --dir /etc/pointsman/instances --zone eu-1':
        async (world) => {
          await world.end('register');
          await world.run('node server.js');
        },
    },
  },
  'docs/policies.md': { given: withFleet, after: (world) => world.serves('shop.example.com', ['app']) },
  'docs/policies-from-git.md': {
    async given(world, { yaml }) {
      await withFleet(world);
      await world.write('declarations/shop.yaml', yaml[0] ?? '');
    },
  },
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
  'docs/templates.md': {
    async given(world) {
      await withFleet(world);
      await cp(join(root, 'templates'), world.path('templates'), { recursive: true });
    },
    after: (world) => world.serves('web', ['app']),
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
  'docs/start-two-balancers.md': {
    async given(world) {
      await withServer(world);
      await world.run('pointsman balance');
    },
    after: (world) => world.serves('shop.example.com', ['app']),
  },
};
