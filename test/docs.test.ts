import { access, cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { knownLayouts } from '../src/registry/layouts/known-layouts.ts';
import { commands } from '../src/settings/commands.ts';
import { fieldName } from '../src/settings/option.ts';
import { scenes } from './support/docs-scenes.ts';
import { openWorld, root, withFleet } from './support/docs-world.ts';
import { readPages } from './support/shown.ts';

const pages = await readPages();

/** Commands that take more than a shell, a registry and an HAProxy, and where they are run. */
const elsewhere: Readonly<Record<string, string>> = {
  'npm start': 'test/demo.test.ts',
  'npm run check': 'scripts/test.mjs',
  'npm run deb': 'test/deb/deb.test.ts',
  'npm test': '.ci/run',
  'npm install --global pointsman-0.1.0.tgz': 'test/package.test.ts',
  'docker/build': 'test/containers/containers.test.ts',
  'docker run -d --user 10001 -v shared:/var/lib/pointsman --entrypoint /opt/pointsman/haproxy/attached pointsman':
    'test/containers/docker.test.ts',
  'docker run -d -v shared:/var/lib/pointsman pointsman-register balance --haproxy-mode attached --dir /var/lib/pointsman …':
    'test/containers/docker.test.ts',
};
/** Pages that are followed whole. */
const pagesElsewhere: Readonly<Record<string, string>> = {
  'docs/containers.md': 'test/containers/labels.test.ts',
  'docs/from-confd.md': 'test/files/confd.test.ts',
  'docs/files.md': 'test/files/nginx.test.ts',
  'docs/secure-etcd.md': 'test/secure-etcd.test.ts',
};

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
    await after?.(world, page);
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
  await world.put('acme/orders/shop.example.com', '{}');
  await cp(join(root, 'templates'), world.path('FOLDER'), { recursive: true });
  await world.write('declarations/shop.yaml', 'services: {shop: {}}\n');
  await world.write('web.yaml', 'services: {web: {balance: leastconn}}\n');
  await world.write('web.json', '{"hosts":["shop.example.com"]}');
  await world.write('declarations/shop.yaml', 'services: {shop: {hosts: [shop.example.com]}}\n');
  const inSentences = [...new Set(pages.flatMap(({ inline }) => inline))];
  // Of those that are only named, that there is one. Another balancer would want the ports of this one; files needs some.
  const isNamed = (command: string) => /^pointsman ([a-z]+$|balance |files )/.test(command);
  const names: readonly string[] = commands.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(inSentences.filter(isNamed).map((command) => command.split(' ')[1])));
  const asked = inSentences.filter((command) => !isNamed(command));
  // Commands that take an instance out of service come after commands that need it served.
  const changes = /^pointsman (drain|maintenance|weight|pause|clear|release)\b/;
  const ordered = asked.sort((a, b) => Number(changes.test(a)) - Number(changes.test(b)));
  for (const command of ordered) await world.run(command);
});

test('every flag that is named is one', async () => {
  const ours = new Set(commands.flatMap(({ options }) => Object.keys(options).map((key) => `--${fieldName(key)}`)));
  // Of every command; of docker/build, of Docker and of etcd; and of none.
  const others = [
    '--help',
    '--version',
    '--config',
    '--node',
    '--tag',
    '--output',
    '--read-only',
    '--tmpfs',
    '--init',
    '--client-cert-auth',
    '--name',
    '--initial-cluster',
    '--initial-advertise-peer-urls',
    '--quota-backend-bytes',
    '--max-txn-ops',
    '--max-request-bytes',
    '--auto-compaction-mode',
    '--auto-compaction-retention',
    '--reinstall',
    '--allow-downgrades',
    '--flag',
    '--stop-signal',
    '--no-recreate',
    '--scale',
  ];
  const named = pages.flatMap(({ name, flags: all }) => all.map((flag) => ({ name, flag })));
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter(({ flag }) => !ours.has(flag) && !others.includes(flag))).toEqual([]);
});
