import { mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readProcesses } from '../src/haproxy/master.ts';
import { startApp } from './support/app.ts';
import { ask } from './support/ask.ts';
import { freePort } from './support/ports.ts';
import { endHaproxy, startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

type Disk = {
  /** Takes all room that there is. */
  fill(): Promise<void>;
  free(): Promise<void>;
  remount(how: 'ro' | 'rw'): Promise<unknown>;
  /** Writing hangs, until it is thawed. */
  freeze(): Promise<unknown>;
  thaw(): Promise<unknown>;
};

/** Mounts a small file system at a folder: tmpfs, or ext4 in a file. Rejects where that is not allowed. */
async function mountAt(folder: string, kind: 'tmpfs' | 'ext4'): Promise<Disk> {
  await mkdir(folder, { recursive: true });
  const run = (command: string, ...args: readonly string[]) => execa(command, args, { timeout: 10_000 });
  if (kind === 'tmpfs') await run('mount', '-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', folder);
  else {
    const image = `${folder}.img`;
    await run('truncate', '-s', '8M', image);
    await run('mkfs.ext4', '-q', image);
    await run('mount', '-o', 'loop', image, folder);
  }
  const thaw = () => run('fsfreeze', '--unfreeze', folder);
  onTestFinished(async () => {
    if (kind === 'ext4') await thaw().catch(() => undefined);
    // Its sockets are on this disk: without it nobody could find the HAProxy that is still running.
    await endHaproxy(folder);
    await run('umount', folder);
  });
  const filler = join(folder, 'filler');
  return {
    async fill() {
      await until('it is full', () => writeFile(filler, Buffer.alloc(4096), { flag: 'a' }).then(() => false, () => true), { everyMs: 0 }); // biome-ignore format: a line
      // The last bytes of a page.
      await until(
        'nothing fits',
        () =>
          writeFile(filler, 'x', { flag: 'a' }).then(
            () => false,
            () => true,
          ),
        { everyMs: 0 },
      );
    },
    free: () => unlink(filler),
    remount: (how) => run('mount', '-o', `remount,${how}`, folder),
    freeze: () => run('fsfreeze', '--freeze', folder),
    thaw,
  };
}

async function whyNot(kind: 'tmpfs' | 'ext4'): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may mount';
  const script = kind === 'tmpfs' ? 'mount -t tmpfs tmpfs /mnt' : 'd=$(mktemp); truncate -s 8M $d; mkfs.ext4 -q $d && mount -o loop $d /mnt && fsfreeze -f /mnt && fsfreeze -u /mnt; e=$?; umount /mnt; rm $d; exit $e'; // biome-ignore format: a line
  const tried = await execa('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], { reject: false });
  return tried.exitCode === 0 ? undefined : `${kind} cannot be mounted here: ${tried.stderr}`;
}

const noTmpfs = await whyNot('tmpfs');
const noFreezing = await whyNot('ext4');
for (const reason of [noTmpfs, noFreezing]) if (reason !== undefined) process.stderr.write(`not tested: ${reason}\n`);

async function start(kind: 'tmpfs' | 'ext4' = 'tmpfs') {
  const scenario = await startScenario('etcd');
  const disk = await mountAt(scenario.balancerDir, kind);
  const apps = await Promise.all(['a', 'b', 'c'].map((name) => startApp(name)));
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  const put = (service: string, app: number) =>
    scenario.writeByHand(`instances/${service}/${'abc'[app]}`, apps[app]?.address ?? '');
  await put('web', 0);
  const file = (name: string) => readFile(join(scenario.balancerDir, name), 'utf8');
  const storage = async () => JSON.parse((await scenario.askAdmin('/status')).body).storage;
  const failed = async () =>
    /^pointsman_storage_last_failed (\d)$/m.exec((await scenario.askAdmin('/metrics')).body)?.[1];
  return { scenario, disk, put, file, storage, failed };
}

describe.skipIf(noTmpfs !== undefined)('a disk that is full', () => {
  test('changes nothing at run time, is told once, and the file is written when there is room', async () => {
    const { scenario, disk, put, file, storage, failed } = await start();
    const balancer = scenario.balancer();
    await scenario.serves('web', ['a']);
    await until('all is written', async () => (await file('state/catalog.json')).includes('instances/web/a'));
    await disk.fill();

    await put('web', 1);
    await scenario.serves('web', ['a', 'b']);
    const told = await balancer.logged('not-saved', ({ what }) => what === 'configuration');
    expect(told).toMatchObject({ level: 'error', reason: expect.stringContaining('no space left on device') });
    expect(await failed()).toBe('1');
    // A service that needs a reload waits for the disk; instances do not wait for it.
    await put('api', 2);
    await scenario.writeByHand('services/api', '{"mode":"tcp","port":1234}');
    await until('it is pending', async () => JSON.parse((await scenario.askAdmin('/status')).body).pendingReload.length > 0); // biome-ignore format: a line
    await put('web', 2);
    await scenario.serves('web', ['a', 'b', 'c']);
    await balancer.logged('not-saved', ({ what }) => what === 'catalog');
    await until('both are on the status', async () => (await storage()).length === 2);
    const config = await file('haproxy.cfg');
    expect(config).toContain('server a ');
    expect(config).not.toContain('server b ');
    expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);

    await disk.free();
    await balancer.logged('saved-again', ({ what }) => what === 'configuration');
    await balancer.logged('saved-again', ({ what }) => what === 'catalog');
    await balancer.logged('reloaded');
    await until('the file says what runs', async () => /server c [\s\S]*backend web[\s\S]*server a [\s\S]*server b /.test(await file('haproxy.cfg'))); // biome-ignore format: a line
    await until('the catalog is written', async () => (await file('state/catalog.json')).includes('instances/api/c'));
    expect(await storage()).toEqual([]);
    expect(await failed()).toBe('0');
    // Each state was told once, however often it was tried.
    for (const [event, what] of [
      ['not-saved', 'configuration'],
      ['not-saved', 'catalog'],
      ['saved-again', 'catalog'],
    ]) {
      // biome-ignore format: a line
      expect(balancer.log.filter((line) => line.event === event && line['what'] === what)).toHaveLength(1);
    }
    expect(balancer.log.filter(({ event }) => event === 'round-failed')).toEqual([]);
  });

  test('does not keep a HAProxy that ended from serving', async () => {
    const { scenario, disk, put, file } = await start();
    const balancer = scenario.balancer();
    await scenario.serves('web', ['a']);
    await until('all is written', async () => (await file('haproxy.cfg')).includes('server a '));
    await disk.fill();
    await put('web', 1);
    await scenario.serves('web', ['a', 'b']);
    const haproxy = await readProcesses(join(scenario.balancerDir, 'run/master.sock'), 2000);
    for (const pid of [haproxy?.masterPid, haproxy?.workerPid]) if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await balancer.logged('haproxy-exited');
    // It starts on the file that there is, and is told at once what the file does not know.
    await scenario.serves('web', ['a', 'b'], 20_000);
    expect(await file('haproxy.cfg')).not.toContain('server b ');
    await disk.free();
    await until('the file says what runs', async () => (await file('haproxy.cfg')).includes('server b '));
  });

  test('does not keep a balancer from starting where one has been', async () => {
    const { scenario, disk, put, file } = await start();
    const first = scenario.balancer();
    await scenario.serves('web', ['a']);
    await until('all is written', async () => (await file('state/catalog.json')).includes('instances/web/a'));
    first.kill('SIGTERM');
    await first.ended;
    await disk.fill();
    await put('web', 1);
    const second = scenario.balancer();
    await scenario.serves('web', ['a', 'b'], 20_000);
    expect(second.log.filter(({ event }) => event === 'not-saved').length).toBeGreaterThan(0);
    await disk.free();
    await until('the file says what runs', async () => (await file('haproxy.cfg')).includes('server b '));
  });
});

test.skipIf(noTmpfs !== undefined)('a disk that cannot be written any more changes nothing at run time', async () => {
  const { scenario, disk, put, file, failed } = await start();
  const balancer = scenario.balancer();
  await scenario.serves('web', ['a']);
  await until('all is written', async () => (await file('state/catalog.json')).includes('instances/web/a'));
  await disk.remount('ro');
  await put('web', 1);
  await scenario.serves('web', ['a', 'b']);
  expect((await balancer.logged('not-saved'))['reason']).toContain('read-only file system');
  await put('web', 2);
  await scenario.serves('web', ['a', 'b', 'c']);
  expect(await failed()).toBe('1');
  await disk.remount('rw');
  await until('the file says what runs', async () => (await file('haproxy.cfg')).includes('server c '));
  await balancer.logged('saved-again', ({ what }) => what === 'configuration');
});

test.skipIf(noFreezing !== undefined)('a disk that hangs changes nothing at run time', async () => {
  const { scenario, disk, put, file } = await start('ext4');
  const balancer = scenario.balancer();
  await scenario.serves('web', ['a']);
  await until('all is written', async () => (await file('state/catalog.json')).includes('instances/web/a'));
  await disk.freeze();
  await put('web', 1);
  await scenario.serves('web', ['a', 'b']);
  await put('web', 2);
  await scenario.serves('web', ['a', 'b', 'c']);
  expect(await scenario.askAdmin('/healthz')).toMatchObject({ status: 200 });
  expect((await scenario.askAdmin('/status')).status).toBe(200);
  expect(await file('haproxy.cfg')).not.toContain('server b ');
  await disk.thaw();
  await until('the file says what runs', async () => (await file('haproxy.cfg')).includes('server c '));
  expect(balancer.log.filter(({ level }) => level === 'error')).toEqual([]);
});

test.skipIf(noFreezing !== undefined)('a reload that waits for a disk that hangs holds up no instance', async () => {
  const { scenario, disk, put, file, storage } = await start('ext4');
  const balancer = scenario.balancer();
  await scenario.serves('web', ['a']);
  await until('all is written', async () => (await file('state/catalog.json')).includes('instances/web/a'));
  await disk.freeze();
  await put('api', 2);
  const port = await freePort();
  await scenario.writeByHand('services/api', `{"mode":"tcp","port":${port}}`);
  // Only then is the reload under way, and has to wait.
  await balancer.logged('not-saved', ({ what }) => what === 'configuration');
  expect(await storage()).toMatchObject([
    { what: 'configuration', reason: expect.stringContaining('does not answer') },
  ]);
  expect(JSON.parse((await scenario.askAdmin('/status')).body).pendingReload).not.toEqual([]);
  await put('web', 1);
  await scenario.serves('web', ['a', 'b']);
  await scenario.etcd?.ctl('del', '/pointsman/instances/web/a');
  await scenario.serves('web', ['b']);
  await disk.thaw();
  await balancer.logged('reloaded');
  await until('the new service is served', async () => (await ask(port, 'api')).body === 'c');
  expect(await scenario.answers('web')).toEqual(['b']);
  await until('the file says what runs', async () => /server c [\s\S]*server b /.test(await file('haproxy.cfg')));
  await until('nothing is amiss', async () => (await storage()).length === 0);
  await expect(file('haproxy.cfg.reloading')).rejects.toThrow('ENOENT');
  expect(balancer.log.filter(({ event }) => event === 'round-failed')).toEqual([]);
});
