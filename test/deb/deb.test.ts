import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { isNightly } from '../support/nightly.ts';
import { bootMachine, whyNoSystemd } from '../systemd/machine.ts';

// Building and installing takes minutes, so `npm run test:nightly` and `npm run release-check` do it. Making a root takes root and a mirror.
const runs = (isNightly || process.env['RELEASE'] !== undefined) && process.getuid?.() === 0;
const root = join(import.meta.dirname, '../..');
const has = (command: string): boolean => spawnSync(command, ['--version']).error === undefined;

describe.skipIf(!runs)('the Debian packages', { timeout: 600_000 }, () => {
  let folder: string;
  const build = async (version: string, ...packages: readonly string[]): Promise<string> => {
    const env = { DEB_VERSION: version, DEB_COMPRESSION: '-Zgzip -z1' };
    const { stdout } = await execa(join(root, 'scripts/deb'), [folder, ...packages], { cwd: root, env });
    return stdout.trim();
  };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-deb-'));
    await rename(await build('0.0.9-1', 'pointsman'), join(folder, 'old.deb'));
    await rename(await build('0.1.0-1', 'pointsman'), join(folder, 'new.deb'));
    await rename(await build('0.1.0-1', 'pointsman-node'), join(folder, 'node.deb'));
    await copyFile(join(root, 'test/containers/load.mjs'), join(folder, 'load.mjs'));
    return () => rm(folder, { recursive: true, force: true });
  }, 600_000);

  test('are the same bytes from two builds of a commit', async () => {
    const again = await build('0.1.0-1', 'pointsman');
    expect((await readFile(again)).equals(await readFile(join(folder, 'new.deb')))).toBe(true);
    await rm(again);
  });

  test.skipIf(!has('lintian'))('have no fault that lintian knows, but for those that are stated', async () => {
    const packages = ['new.deb', 'node.deb'].map((name) => join(folder, name));
    const { stdout } = await execa('lintian', ['--allow-root', '--fail-on', 'error,warning', ...packages]);
    expect(stdout).toBe('');
  });

  test.each(['bookworm', 'trixie'])(
    'on %s are installed, upgraded without a failed request, and purged without a file left',
    async (suite) => {
      await execa(join(root, 'scripts/debian-root'), [suite], { cwd: root });
      const roots = process.env['POINTSMAN_ROOTS'] ?? '/var/cache/pointsman-roots';
      const { stdout } = await execa(join(import.meta.dirname, 'in-root.sh'), [join(roots, suite), folder]);
      const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { readonly failures: readonly string[] };
      expect(result.failures).toEqual([]);
    },
  );

  test.skipIf(!runs || whyNoSystemd() !== undefined)(
    'are purged under systemd after a crash, leave no HAProxy, and a balancer starts when they are installed again',
    async () => {
      const here = join(root, 'dist/purged.deb');
      await copyFile(join(folder, 'new.deb'), here);
      onTestFinished(() => rm(here, { force: true }));
      const machine = await bootMachine();
      onTestFinished(() => machine.close(), 90_000);
      const start = async () => {
        await machine.run('dpkg', '--install', '/opt/pointsman/dist/purged.deb');
        await machine.write('/etc/pointsman/balance.yaml', 'registry: etcd://127.0.0.1:2379\nhttp: 0.0.0.0:80\n');
        await machine.run('systemctl', 'start', 'pointsman-balance');
        await machine.run('curl', '-sS', '-o', '/dev/null', 'http://127.0.0.1');
      };
      // etcd looks for `localhost`.
      await machine.write('/etc/hosts', '127.0.0.1 localhost\n');
      await machine.run('systemd-run', '--unit=etcd-test', 'etcd', '--data-dir=/tmp/etcd');
      await start();
      await machine.run('systemctl', 'kill', '--kill-whom=main', '--signal=KILL', 'pointsman-balance');
      await machine.run('dpkg', '--purge', 'pointsman');
      await expect(machine.run('pgrep', '-x', 'haproxy')).rejects.toThrow();
      await expect(machine.run('getent', 'passwd', 'pointsman')).rejects.toThrow();
      await start();
    },
  );
});
