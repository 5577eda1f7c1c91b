import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFailed, test } from 'vitest';
import { startPointsman } from './support/processes.ts';
import { randomFrom } from './support/random.ts';
import { startRegistration } from './support/registration.ts';
import { until } from './support/until.ts';

const steps = 400;
const files = 12;

test.each(['folder', 'etcd'] as const)(
  'whatever happens to the files, %s has in the end what they declare',
  async (kind) => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
    onTestFailed(() => void process.stderr.write(`SEED=${seed}\n`));
    const random = randomFrom(seed);
    const pick = (below: number) => Math.floor(random() * below);
    const { dir, location, recorder } = await startRegistration(kind);
    const folder = join(dir, 'instances');
    await mkdir(folder);
    const agent = startPointsman(['register', '--registry', location, '--dir', folder, '--ttl', '10s']);
    const standing = () =>
      Object.fromEntries(
        [...recorder.view]
          .filter(([key]) => key.startsWith('instances/'))
          .map(([key, { value }]) => {
            const { port, state = 'ready' } = JSON.parse(value) as { port: number; state?: string };
            return [key.slice('instances/web/'.length), `${port} ${state}`];
          })
          .sort(),
      );
    /** The last valid declaration of each file that is still there. */
    const declared = new Map<string, number>();
    const broken = new Set<string>();
    for (let step = 0; step < steps; step += 1) {
      const id = `n${pick(files)}`;
      const path = join(folder, `${id}.yaml`);
      // Few, so that the same instance comes back too.
      const port = 1 + pick(3);
      switch (pick(5)) {
        case 0:
          await rm(path, { force: true });
          declared.delete(id);
          break;
        case 1:
          // Only a file that declares something can be broken without doubt about what stands.
          if (!declared.has(id)) break;
          await writeFile(path, 'service: web\naddress: nowhere\n');
          broken.add(id);
          break;
        case 2:
          await writeFile(path, `service: web\nid: ${id}\naddress: 10.0.0.1:${port}\n`);
          declared.set(id, port);
          broken.delete(id);
          break;
        default:
          await writeFile(join(dir, 'new'), `service: web\nid: ${id}\naddress: 10.0.0.1:${port}\n`);
          await rename(join(dir, 'new'), path);
          declared.set(id, port);
          broken.delete(id);
      }
      // Now and then the agent catches up; otherwise it finds several changes at once.
      const good = declared.get(id);
      if (pick(12) === 0 && good !== undefined && !broken.has(id)) {
        await until(`${id} stands as declared`, () => standing()[id] === `${good} ready`, {
          deadlineMs: 20_000,
          everyMs: 2,
        });
      } else await turn();
    }
    // A file that was broken before the agent saw its good form has none that stays: write those once more.
    for (const [id, port] of declared) {
      await writeFile(join(folder, `${id}.yaml`), `service: web\nid: ${id}\naddress: 10.0.0.1:${port}\n`);
    }
    const wanted = () => Object.fromEntries([...declared].map(([id, port]) => [id, `${port} ready`]).sort());
    const same = () => {
      expect(standing()).toEqual(wanted());
      return true;
    };
    await until('what stands is what is declared', same);
    agent.kill('SIGTERM');
    expect((await agent.ended).code).toBe(0);
    await until('nothing stands', () => Object.keys(standing()).length === 0);
  },
);
