import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { buildWith, type Engine, importFile, startEngine, whyNoEngine } from '../containers/engine.ts';
import { until } from '../support/until.ts';
import { lacks, ran } from './report.ts';

const root = join(import.meta.dirname, '../..');
const platform = ['--platform', 'linux/arm64'];
// Node.js starts in seconds where each instruction is translated.
const patience = { deadlineMs: 240_000, everyMs: 1000 };

/** What this machine lacks to run programs for arm64. Makes the base images. */
function whyNoArm64(): string | undefined {
  const engine = whyNoEngine([]);
  if (engine !== undefined) return engine;
  const { status } = spawnSync('update-binfmts', ['--enable', 'qemu-aarch64']);
  if (status !== 0)
    return 'qemu-aarch64 is not set up (packages qemu-user-static, binfmt-support and arch-test; mount binfmt_misc)';
  const made = spawnSync(join(root, 'scripts/base-images'), ['--arch', 'arm64', 'haproxy', 'node'], {
    encoding: 'utf8',
  });
  if (made.status === 69) return made.stderr.trim();
  if (made.status !== 0) throw new Error(`scripts/base-images failed: ${made.stderr}`, { cause: made.error });
  return undefined;
}

const reason = whyNoArm64();
if (reason !== undefined) lacks(reason);

describe.skipIf(reason !== undefined)('on arm64', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine([], 'arm64');
    const { stdout: folder } = await execa(join(root, 'scripts/base-images'), ['--arch', 'arm64', 'haproxy', 'node']);
    for (const base of ['haproxy', 'node']) {
      await importFile(engine, platform, join(folder, `${base}.tar`), `pointsman-base-${base}`);
    }
    await buildWith(engine, root, platform);
  }, 1_500_000);
  afterAll(() => engine?.close(), 120_000);

  test('both images run, and a registered instance is served', { timeout: 900_000 }, async () => {
    const run = (name: string, ...args: readonly string[]) =>
      engine.docker(['run', ...platform, '--detach', '--name', name, '--read-only', '--cap-drop=ALL', '--volume=reg:/var/lib/pointsman', ...args]); // biome-ignore format: one command
    onTestFailed(async () => {
      for (const name of ['balance', 'register']) process.stderr.write(`--- ${name}\n${await engine.logs(name)}\n`);
    }, 60_000);
    const registry = '--registry=dir:/var/lib/pointsman/registry';
    // A new volume takes its owner from the image of register, too.
    await run('folder', '--entrypoint=mkdir', 'pointsman', '/var/lib/pointsman/registry');
    await engine.docker(['wait', 'folder']);
    const balance = ['balance', registry, '--dir=/var/lib/pointsman/balance', '--allow-addresses=127.0.0.0/8'];
    await run('balance', '--publish=127.0.0.1:8081:8080', 'pointsman', ...balance);
    const application = ['--entrypoint=/opt/pointsman/lib/ld.so', 'pointsman-register'];
    const code = "require('http').createServer((_, r) => r.end(process.arch)).listen(9000)";
    const node = ['--library-path', '/opt/pointsman/lib', '/opt/pointsman/lib/node', '-e', code];
    await run('application', '--network=container:balance', ...application, ...node);
    const register = ['register', registry, '--service=web', '--address=127.0.0.1:9000', '--check=tcp'];
    await run('register', '--network=container:balance', 'pointsman-register', ...register);
    await until('it is served', async () => (await engine.ask('http://127.0.0.1:8081/')) === 'arm64', patience);
    await until('it is healthy', async () => (await engine.health('balance')) === 'healthy', patience);
    const label = '{{index .Config.Labels "haproxy.version"}}, Node.js {{index .Config.Labels "node.version"}}';
    const versions = await engine.docker(['image', 'inspect', '--format', label, 'pointsman']);
    expect(versions).toMatch(/^3\.[2-9]\..*, Node\.js 24\./);
    ran(`linux/arm64 by qemu, HAProxy ${versions}`);
  });
});
