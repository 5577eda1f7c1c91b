import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { startApp } from './support/app.ts';
import { startPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';

const root = join(import.meta.dirname, '..');

type Packed = {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
};

describe('the npm package', () => {
  let folder: string;
  let packed: Packed;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-package-'));
    const { stdout } = await execa('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root });
    // The build, which npm runs first, says on standard output what it made.
    [packed] = JSON.parse(stdout.slice(stdout.search(/^\[$/m))) as [Packed];
    await execa('npm', ['install', '--offline', '--no-package-lock', join(folder, packed.filename)], { cwd: folder });
    return () => rm(folder, { recursive: true, force: true });
  });

  test('brings nothing but itself, and no more than is needed', async () => {
    expect((await readdir(join(folder, 'node_modules'))).filter((name) => !name.startsWith('.'))).toEqual([
      'pointsman',
    ]);
    expect(packed.size).toBeLessThan(1_200_000);
    expect(packed.unpackedSize).toBeLessThan(4_500_000);
    const folders = new Set(packed.files.map(({ path }) => (path.includes('/') ? path.split('/')[0] : path)));
    for (const name of folders) {
      const files = ['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'dist', 'docker', 'docs', 'haproxy', 'package.json', 'templates']; // biome-ignore format: one list
      expect(files).toContain(name);
    }
  });

  test('runs: a balancer with its HAProxy, and an application that registers', async () => {
    const executable = join(folder, 'node_modules/.bin/pointsman');
    const { stdout } = await execa(executable, ['--version']);
    expect(stdout).toMatch(new RegExp(`^pointsman ${packageJson.version} \\([0-9a-f]{12}(-dirty)?\\)$`));
    const scenario = await startScenario('folder');
    const app = await startApp('a');
    onTestFinished(() => app.close());
    const what = ['--service', 'web', '--id', 'a', '--address', app.address];
    startPointsman(['register', '--registry', scenario.location, ...what], { executable });
    scenario.balancerWith({ executable });
    await scenario.serves('web', ['a']);
  });

  test('has the licence of every package in its bundle, and a bill of materials', async () => {
    const dist = join(folder, 'node_modules/pointsman/dist');
    const notices = await readFile(join(dist, 'THIRD-PARTY-NOTICES.txt'), 'utf8');
    const bill = JSON.parse(await readFile(join(dist, 'sbom.cdx.json'), 'utf8')) as {
      readonly bomFormat: string;
      readonly components: readonly { readonly name: string; readonly version: string }[];
    };
    expect(bill.bomFormat).toBe('CycloneDX');
    const headings = [...notices.matchAll(/^-{80}\n(\S+) (\S+) \((.*)\)$/gm)];
    expect(headings.map(([, name, version]) => `${name}@${version}`).sort()).toEqual(
      bill.components.map(({ name, version }) => `${name}@${version}`).sort(),
    );
    const names = new Set(bill.components.map(({ name }) => name));
    for (const name of ['immutable', 'mustache', 'pino', 'prom-client']) expect(names).toContain(name);
    for (const name of ['vitest', 'typescript', 'esbuild', 'etcd3']) expect(names).not.toContain(name);
    const permissive = ['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD'];
    for (const [, name, , licence] of headings) expect({ name, ok: permissive.includes(licence ?? '') }).toEqual({ name, ok: true }); // biome-ignore format: one line
  });

  test('has a manual page that npm installs', async () => {
    const page = await readFile(join(folder, 'node_modules/pointsman', packageJson.man[0] ?? ''), 'utf8');
    expect(page).toContain(`.TH POINTSMAN 1 "" "pointsman ${packageJson.version}"`);
  });
});
