import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { startEtcd } from './etcd.ts';
import { type PointsmanProcess, runPointsman, startPointsman } from './processes.ts';
import { until } from './until.ts';

/** A template that lists the addresses of each service. */
export const instances = 'one of {{#services}}{{name}}:{{#instances}} {{address}}{{/instances}}\n{{/services}}';

/** A file that pointsman makes, as a settings file declares it. */
type Declared = Readonly<Record<string, unknown>>;

/** Puts a key and a value of any bytes into etcd; each character is one byte. */
export async function putBytes(location: string, key: string, value: string): Promise<void> {
  const base64 = (bytes: string) => Buffer.from(bytes, 'latin1').toString('base64');
  const body = JSON.stringify({ key: base64(key), value: base64(value) });
  const answer = await fetch(`${location.replace('etcd://', 'http://')}/v3/kv/put`, { method: 'POST', body });
  if (!answer.ok) throw new Error(`etcd answers ${answer.status} to a put of ${key}`);
}

/** A registry and a folder with templates and what is made of them. All gone when the test is finished. */
export async function startFiles(kind: 'folder' | 'etcd' = 'folder') {
  const dir = await mkdtemp(join(tmpdir(), 'pm-files-'));
  const etcd = kind === 'etcd' ? await startEtcd() : undefined;
  if (etcd === undefined) await mkdir(join(dir, 'registry'));
  const location = etcd?.location ?? `dir:${join(dir, 'registry')}`;
  onTestFinished(async () => {
    await etcd?.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  });
  const path = (name: string) => join(dir, name);
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(dirname(path(name)), { recursive: true });
    await writeFile(path(name), text);
  };
  const read = (name: string): Promise<string> => readFile(path(name), 'utf8').catch(() => '');
  const args = ['files', '--registry', location, '--config', path('pointsman.yaml')];

  return {
    dir,
    path,
    etcd,
    location,
    write,
    read,
    /** Puts a key of any tree: `/services/web/1`. */
    async put(key: string, value: string): Promise<void> {
      if (etcd !== undefined) await etcd.ctl('put', key, value);
      else await write(`registry${key}`, value);
    },
    async remove(key: string): Promise<void> {
      if (etcd !== undefined) await etcd.ctl('del', key);
      else await rm(path(`registry${key}`));
    },
    /** The key of pointsman's own tree. */
    own: (key: string): string => (etcd === undefined ? `/${key}` : `/pointsman/${key}`),
    declare: (...templates: readonly Declared[]): Promise<void> => write('pointsman.yaml', stringify({ templates })),
    /** Keeps the declared files until the test is finished. */
    async keep(...more: readonly string[]): Promise<PointsmanProcess> {
      const pointsman = startPointsman([...args, ...more]);
      await pointsman.logged('files-kept');
      return pointsman;
    },
    run: (...more: readonly string[]) => runPointsman([...args, '--log-level', 'silent', ...more]),
    /** Waits until a file has this text. */
    becomes: (name: string, text: string): Promise<boolean> =>
      until(`${name} is ${JSON.stringify(text)}`, async () => (await read(name)) === text, { deadlineMs: 20_000 }),
  };
}
