import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { findResources } from './find-resources.ts';

/** A text that differs as soon as a resource of the folder is added, changed or removed. Undefined: the folder cannot be read. */
export async function traceResources(folder: string): Promise<string | undefined> {
  try {
    const { files } = await findResources(join(folder, 'conf.d'));
    const traces = files.map(async (path) => {
      const found = await stat(path, { bigint: true }).catch(() => undefined);
      return [path, found?.dev, found?.ino, found?.size, found?.mtimeNs, found?.ctimeNs].join(':');
    });
    return (await Promise.all(traces)).join('\n');
  } catch {
    return undefined;
  }
}
