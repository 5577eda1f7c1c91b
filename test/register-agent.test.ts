import { existsSync } from 'node:fs';
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startApp } from './support/app.ts';
import { startPointsman } from './support/processes.ts';
import { startRegistration } from './support/registration.ts';
import type { RegistryKind } from './support/scenario.ts';
import { until } from './support/until.ts';

async function start(kind: RegistryKind, files: Readonly<Record<string, string>> = {}) {
  const scenario = await startRegistration(kind);
  const folder = join(scenario.dir, 'instances');
  await mkdir(folder);
  /** As a deployment should: the whole file at once. */
  const declare = async (name: string, text: string, { mode = 0o644 } = {}) => {
    await writeFile(join(scenario.dir, 'new'), text);
    await chmod(join(scenario.dir, 'new'), mode);
    await rename(join(scenario.dir, 'new'), join(folder, name));
  };
  for (const [name, text] of Object.entries(files)) await declare(name, text);
  const { location, recorder } = scenario;
  const agent = (...more: readonly string[]) =>
    startPointsman(['register', '--registry', location, '--dir', folder, '--ttl', '30s', ...more]);
  const value = (name: string): unknown => {
    const text = recorder.view.get(`instances/${name}`)?.value;
    return text === undefined ? undefined : JSON.parse(text);
  };
  return { ...scenario, folder, declare, agent, value, remove: (name: string) => rm(join(folder, name)) };
}

const web = (id: string, port: number, more = '') => `service: web\nid: ${id}\naddress: 10.0.0.1:${port}\n${more}`;

describe.each(['folder', 'etcd'] as const)('an agent, with the registry in %s', (kind) => {
  test('announces what files declare as they come, change and go, under one lease', async () => {
    const { agent, declare, remove, value, states, etcd } = await start(kind, {
      'a.yaml': web('a', 1),
      'b.json': JSON.stringify({ service: 'web', id: 'b', address: '10.0.0.1:2', weight: 5 }),
      'README.md': 'no declaration',
    });
    const process = agent('--zone', 'eu');
    await until('both are announced', () => value('web/a') !== undefined && value('web/b') !== undefined);
    expect(value('web/a')).toMatchObject({ port: 1, zone: 'eu' });
    expect(value('web/b')).toMatchObject({ port: 2, weight: 5 });

    await declare('c.yaml', web('c', 3));
    await until('the third comes', () => value('web/c') !== undefined);
    await declare('a.yaml', web('a', 1, 'weight: 9\nzone: us\n'));
    await until('the first changes', () => (value('web/a') as { weight?: number }).weight === 9);
    expect(value('web/a')).toMatchObject({ zone: 'us' });
    expect(states('web/a')).toEqual(['ready', 'ready']);

    await remove('b.json');
    await until('the second goes', () => value('web/b') === undefined);
    expect(states('web/b')).toEqual(['ready', 'draining', 'deleted']);
    await declare('b.json', JSON.stringify({ service: 'web', id: 'b', address: '10.0.0.1:4' }));
    await until('the second is back', () => value('web/b') !== undefined);
    if (etcd !== undefined) expect(await etcd.ctl('lease', 'list')).toContain('found 1 leases');

    process.kill('SIGTERM');
    expect((await process.ended).code).toBe(0);
    await until('all are gone', () => ['a', 'b', 'c'].every((id) => value(`web/${id}`) === undefined));
    expect(states('web/c')).toEqual(['ready', 'draining', 'deleted']);
  });

  test('hundreds come at once and leave at once', async () => {
    const ids = Array.from({ length: 200 }, (_, i) => `n${i}`);
    const { agent, recorder } = await start(
      kind,
      Object.fromEntries(ids.map((id, i) => [`${id}.yaml`, web(id, i + 1)])),
    );
    const process = agent();
    const count = () => [...recorder.view.keys()].filter((key) => key.startsWith('instances/web/n')).length;
    await until('all stand', () => count() === 200);
    process.kill('SIGTERM');
    expect((await process.ended).code).toBe(0);
    await until('none stands', () => count() === 0);
  });
});

test('a broken file is told with its place; the others go on, and what it declared before stays', async () => {
  const { agent, declare, folder, value } = await start('folder', {
    'a.yaml': web('a', 1),
    'b.yaml': 'service: web\naddress: x\n',
  });
  const process = agent();
  const refused = await process.logged('declaration-refused', ({ file }) => file === 'b.yaml');
  expect(refused).toMatchObject({
    where: `${join(folder, 'b.yaml')}:2:10: address`,
    reason: '"x" is not host:port',
    stays: false,
  });
  await until('the good one is announced', () => value('web/a') !== undefined);

  await declare('a.yaml', 'service: web\nid: a\naddress: "10.0.0.1:1\n');
  const broken = await process.logged('declaration-refused', ({ file }) => file === 'a.yaml');
  expect(broken).toMatchObject({ stays: true });
  expect(String(broken['where'])).toMatch(/a\.yaml:\d+:\d+$/);
  await declare('b.yaml', web('b', 2));
  await process.logged('declaration-mended', ({ file }) => file === 'b.yaml');
  await until('the mended one is announced', () => value('web/b') !== undefined);
  expect(value('web/a')).toMatchObject({ port: 1 });
});

test('a command is run only from a file that nobody but the agent and root can write; the other files go on', async () => {
  const scenario = await start('folder');
  const { agent, folder, value, dir } = scenario;
  const ran = join(dir, 'ran');
  const declare = (name: string, mode: number, more: string) => scenario.declare(name, web(name, 1, more), { mode });
  await declare('open.yaml', 0o666, `check: "cmd:touch ${ran}"\n`);
  await declare('owned.yaml', 0o644, `check: "cmd:true"\n`);
  await declare('harmless.yaml', 0o666, 'check: none\n');
  const process = agent();
  const refused = await process.logged('declaration-refused');
  expect(refused).toMatchObject({
    where: join(folder, 'open.yaml'),
    reason:
      'its check is a command, and the file can be written by its group and by others, so pointsman does not run the command',
    stays: false,
  });
  expect(refused.msg).toContain(`chmod go-w ${join(folder, 'open.yaml')}`);
  await until('the others are announced', () => ['owned', 'harmless'].every((id) => value(`web/${id}.yaml`)));
  expect(value('web/open.yaml')).toBeUndefined();
  expect(existsSync(ran)).toBe(false);

  await chmod(join(folder, 'open.yaml'), 0o644);
  await process.logged('declaration-mended', ({ file }) => file === 'open.yaml');
  await until('it is announced', () => value('web/open.yaml') !== undefined);
  expect(existsSync(ran)).toBe(true);
  // A command of the agent's own flags is no word of a file.
  process.kill('SIGTERM');
  await process.ended;
  await declare('later.yaml', 0o666, '');
  agent('--check', 'cmd:true');
  await until('it is announced, too', () => value('web/later.yaml') !== undefined);
});

test('an instance that two files declare is announced once, and the second file is told', async () => {
  const { agent, remove, value } = await start('folder', { 'a.yaml': web('x', 1), 'b.yaml': web('x', 2) });
  const process = agent();
  const { reason, file } = await process.logged('declaration-refused');
  expect([file, reason]).toEqual(['b.yaml', 'web/x is declared by a.yaml already']);
  await until('the first has it', () => (value('web/x') as { port?: number } | undefined)?.port === 1);
  await remove('a.yaml');
  await until('the second has it', () => (value('web/x') as { port?: number } | undefined)?.port === 2);
});

test('an instance that comes back while it leaves is announced again', async () => {
  const { agent, declare, remove, registry, states, value } = await start('folder', { 'a.yaml': web('a', 1) });
  // A balancer that lives and never says what it serves: a leave waits for it.
  const balancer = registry.openSession({ ttlMs: 60_000, mayReplace: () => true, onEvent: () => undefined });
  await balancer.put('balancers/lb', '{"format":1}');
  agent();
  await until('it is announced', () => value('web/a') !== undefined);
  await remove('a.yaml');
  await until('it drains', () => states('web/a').at(-1) === 'draining');
  await declare('a.yaml', web('a', 1));
  await until('it is back', () => states('web/a').at(-1) === 'ready');
  await remove('a.yaml');
  await until('it drains again', () => states('web/a').at(-1) === 'draining');
  await balancer.close();
  await until('it is gone', () => states('web/a').at(-1) === 'deleted');
  expect(states('web/a')).toEqual(['ready', 'draining', 'ready', 'draining', 'deleted']);
});

test('a folder that cannot be read has lost no instance', async () => {
  const { agent, folder, value, declare, states } = await start('folder', { 'a.yaml': web('a', 1) });
  const process = agent();
  await until('it is announced', () => value('web/a') !== undefined);
  await rename(folder, `${folder}.away`);
  await process.logged('folder-unreadable');
  await rename(`${folder}.away`, folder);
  await process.logged('folder-readable');
  await declare('b.yaml', web('b', 2));
  await until('the folder is followed again', () => value('web/b') !== undefined);
  expect(states('web/a')).toEqual(['ready']);
});

test('each instance has its own health', async () => {
  const { agent, declare, value } = await start('folder');
  const app = await startApp('well');
  const checked = (id: string, address: string) =>
    `service: web\nid: ${id}\naddress: ${address}\ncheck: http:///\ncheck-interval: 50ms\ncheck-fall: 2\n`;
  await declare('well.yaml', checked('well', app.address));
  await declare('ill.yaml', checked('ill', '127.0.0.1:1'));
  const process = agent();
  await until('the one that is well is announced', () => value('web/well') !== undefined);
  await process.logged('waiting', ({ id }) => id === 'ill');
  expect(value('web/ill')).toBeUndefined();
  await app.close();
  await until('it is withdrawn', () => value('web/well') === undefined);
});

test('without a folder it ends, and says so', async () => {
  const { dir, location } = await startRegistration('folder');
  const process = startPointsman(['register', '--registry', location, '--dir', join(dir, 'nowhere')]);
  expect((await process.ended).code).toBe(2);
  expect(process.stderr.at(-1)).toMatch(
    /^pointsman: --dir: the folder of declarations cannot be read: no such file or directory/,
  );
});
