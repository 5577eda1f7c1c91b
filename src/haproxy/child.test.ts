import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const src = join(import.meta.dirname, '..');

// execa's default is to end its own process at SIGTERM and SIGINT while a child runs.
test('no child process is run with a clean-up that ends pointsman', async () => {
  const names = await readdir(src, { recursive: true });
  for (const name of names.filter((one) => one.endsWith('.ts') && !one.endsWith('.test.ts'))) {
    const text = await readFile(join(src, name), 'utf8');
    const calls = text.match(/\bexeca\(/g)?.length ?? 0;
    const guarded = text.match(/\.\.\.apart\b|cleanup: false/g)?.length ?? 0;
    if (name !== 'haproxy/child.ts') expect({ name, guarded }).toEqual({ name, guarded: calls });
  }
});
