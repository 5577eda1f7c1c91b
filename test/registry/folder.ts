import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished } from 'vitest';
import { openDirectoryRegistry } from '../../src/registry/directory/directory-registry.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { Recorder } from './recorder.ts';

/** A folder that is used as a registry, until the test is finished. */
export async function startFolder() {
  const scratch = await mkdtemp(join(tmpdir(), 'pm-dirs-'));
  const path = join(scratch, 'registry');
  await mkdir(path);
  for (const folder of [scratch, path]) await chmod(folder, 0o755);
  onTestFinished(() => rm(scratch, { recursive: true, force: true, maxRetries: 5 }));
  const warnings: { key?: string; reason?: string }[] = [];

  function open(options: { rescanMs?: number } = {}): Registry {
    const logger = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line)) });
    const registry = openDirectoryRegistry({ path, logger, ...options });
    onTestFinished(() => registry.close());
    return registry;
  }

  async function follow(registry = open()): Promise<Recorder> {
    const recorder = new Recorder(registry);
    onTestFinished(() => expect(recorder.violations).toEqual([]));
    await recorder.started();
    return recorder;
  }

  /** Writes a value as a person does. */
  async function byHand(key: string, content: string | Buffer): Promise<void> {
    await mkdir(dirname(join(path, key)), { recursive: true });
    await writeFile(join(path, key), content);
  }

  return { path, warnings, open, follow, byHand };
}
