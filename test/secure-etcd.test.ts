import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { ask } from './support/ask.ts';
import { freePorts } from './support/ports.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { endHaproxy } from './support/scenario.ts';
import { until } from './support/until.ts';

const root = join(import.meta.dirname, '..');
const numbers = [1, 2, 3] as const;
const folder = process.env['ETCD_ROOT'];

/** The page, with the addresses and the folders of this test. */
async function openPage() {
  const dir = await mkdtemp(join(tmpdir(), 'pm-secure-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 }));
  const ports = await freePorts(8);
  const port = (number: number, of: string) => ports[(number - 1) * 2 + (of === '2380' ? 1 : 0)] ?? 0;
  const here = (text: string) =>
    text
      .replaceAll(/10\.0\.0\.(\d):(23\d\d)/g, (_, number, of) => `127.0.0.1:${port(Number(number), of)}`)
      .replaceAll(/10\.0\.0\.\d/g, '127.0.0.1')
      .replaceAll('/etc/', `${dir}/etc/`)
      .replaceAll('0.0.0.0:80', `127.0.0.1:${ports[6]}`);
  const text = await readFile(join(root, 'docs/secure-etcd.md'), 'utf8');
  const fences = (language: string) =>
    [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, of, body = '']) => (of === language ? [body] : []));
  await mkdir(join(dir, 'bin'));
  await symlink(join(root, 'bin/pointsman'), join(dir, 'bin/pointsman'));
  await mkdir(join(dir, 'etc/pointsman'), { recursive: true });
  const path = [join(dir, 'bin'), ...(folder === undefined ? [] : [folder]), process.env['PATH']].join(':');
  let before = '';
  return {
    ...{ dir, here, port, http: ports[6] ?? 0, admin: ports[7] ?? 0 },
    secret: (name: string) => join(dir, 'etcd-secrets', name),
    blocks: { sh: fences('sh'), text: fences('text') },
    /** Runs commands in the shell of the page: with what the commands before them have set. */
    async run(commands: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
      const { all } = await execa('bash', ['-e', '-c', before + here(commands)], {
        ...{ cwd: dir, env: { PATH: path, ...env }, all: true, timeout: 60_000 },
      });
      before += here(commands)
        .split('\n')
        .filter((line) => /^(export|key=|mkdir)/.test(line))
        .map((line) => `${line}\n`)
        .join('');
      return all;
    },
  };
}

type OpenPage = Awaited<ReturnType<typeof openPage>>;

/** The members with the variables of the page. */
function membersOf({ dir, here, port }: OpenPage) {
  const running = new Map<number, ChildProcess>();
  const stop = async (number: number) => {
    const child = running.get(number);
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await gone;
  };
  onTestFinished(async () => void (await Promise.all(numbers.map(stop))));
  return {
    async start(number: number, settings: string): Promise<void> {
      await stop(number);
      const lines = settings.split('\n').map((line) => {
        if (line.startsWith('ETCD_INITIAL_CLUSTER=')) return here(line);
        const own = line
          .replace('etcd-1', `etcd-${number}`)
          .replace('10.0.0.1:', `10.0.0.${number}:`)
          .replace(/0\.0\.0\.0:(23\d\d)/, (_, of) => `127.0.0.1:${port(number, of)}`)
          .replace('/var/lib/etcd/default', join(dir, `data-${number}`));
        return here(own).replaceAll('/etc/etcd/', `/etc/etcd-${number}/`);
      });
      const variables = lines.flatMap((line) => {
        const [, name = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
        return name === '' ? [] : [[name, value] as const];
      });
      const env = { PATH: process.env['PATH'], ETCD_LOG_LEVEL: 'error', ...Object.fromEntries(variables) };
      running.set(number, spawn(folder === undefined ? 'etcd' : join(folder, 'etcd'), [], { env, stdio: 'ignore' }));
    },
  };
}

test('the page about a secure etcd leads to TLS and a user for each process', { timeout: 180_000 }, async () => {
  const page = await openPage();
  const { dir, here, http, admin, secret, blocks, run } = page;
  const [authority = '', users = '', enable = '', list = '', operate = '', certificates = ''] = blocks.sh;
  const [settings = '', balance = '', register = '', requiring = ''] = blocks.text;
  const app = await startApp('app');
  onTestFinished(() => app.close());
  const members = membersOf(page);
  await run(authority);
  for (const number of numbers) {
    const own = join(dir, `etc/etcd-${number}`);
    await mkdir(own);
    await cp(secret('ca.crt'), join(own, 'ca.crt'));
    await cp(secret(`etcd-${number}.crt`), join(own, 'member.crt'));
    await cp(secret(`etcd-${number}.key`), join(own, 'member.key'));
    await members.start(number, settings);
  }
  const exports = users
    .split('\n')
    .filter((line) => line.startsWith('export'))
    .join('\n');
  const healthy = (env: Readonly<Record<string, string>> = {}) =>
    until(
      'etcd answers',
      () =>
        run(`${exports}\netcdctl endpoint health`, env).then(
          () => true,
          () => false,
        ),
      { deadlineMs: 30_000 },
    );
  await healthy();
  expect(await run(users)).not.toMatch(/error/i);

  // A balancer has its user before etcd checks it.
  await cp(secret('ca.crt'), join(dir, 'etc/pointsman/etcd-ca.crt'));
  await cp(secret('pointsman-balancer-lb-1.password'), join(dir, 'etc/pointsman/etcd.password'));
  const config = join(dir, 'etc/pointsman/balance.yaml');
  await writeFile(config, here(balance));
  onTestFinished(() => endHaproxy(join(dir, 'balancer')));
  const start = (...flags: readonly string[]) =>
    startPointsman(['balance', '--config', config, '--id', 'lb-1', '--dir', join(dir, 'balancer'), '--admin', `127.0.0.1:${admin}`, ...flags]); // biome-ignore format: a command line
  await start().logged('serving');
  expect(await run(enable)).toContain('Authentication Enabled');
  expect(await run(list)).toContain('pointsman-register-web');
  await expect(run('env -u ETCDCTL_USER etcdctl get x')).rejects.toThrow('user name is empty');

  await cp(secret('pointsman-register-web.password'), join(dir, 'etc/pointsman/web.password'));
  const env = Object.fromEntries(
    here(register)
      .replace('etcd.password', 'web.password')
      .trim()
      .split('\n')
      .map((line) => line.split(/=(.*)/).slice(0, 2)),
  );
  const flags = ['--service', 'web', '--id', 'a', '--address', app.address];
  await startPointsman(['register', ...flags], { env }).logged('announced');
  expect(await run(operate, { POINTSMAN_ADMIN: `127.0.0.1:${admin}` })).toContain('lb-1');
  const serves = () => ask(http, 'shop.example.com').then(({ body }) => body === 'app');
  await until('the service is served', serves);

  await run(certificates);
  const pair = (user: string) => ({ ETCDCTL_CERT: secret(`${user}.crt`), ETCDCTL_KEY: secret(`${user}.key`) });
  for (const number of numbers) {
    await members.start(number, `${settings}${requiring}`);
    await healthy(pair('root'));
  }
  await expect(run('etcdctl get x')).rejects.toThrow();
  const operator = ['--etcd-cert', secret('pointsman-operator.crt'), '--etcd-key', secret('pointsman-operator.key')];
  const registry = /^registry: (.*)$/m.exec(here(balance))?.[1] ?? '';
  const asked = await runPointsman([
    'status',
    '--registry',
    registry,
    '--etcd-ca',
    secret('ca.crt'),
    ...operator,
    '--admin',
    `127.0.0.1:${admin}`,
  ]);
  expect(asked).toMatchObject({ code: 0, stderr: [] });
});
