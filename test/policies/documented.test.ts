import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startBalancer } from '../support/balancer.ts';

const page = join(import.meta.dirname, '../../docs/policies.md');

test('every example of a policy in the documentation is one that HAProxy serves', async () => {
  const examples = [...(await readFile(page, 'utf8')).matchAll(/^```json\n(.*?)^```$/gms)].map(([, json = '']) => json);
  expect(examples.length).toBeGreaterThan(5);
  const errorPages = await mkdtemp(join(tmpdir(), 'pm-pages-'));
  for (const name of ['busy', 'oops']) await writeFile(join(errorPages, `${name}.html`), name);
  const balancer = await startBalancer({ errorPages });
  try {
    balancer.snapshot(
      Object.fromEntries(
        examples.flatMap((json, i) => [
          [`services/example-${i}`, json],
          [`instances/example-${i}/a`, '127.0.0.1:9'],
        ]),
      ),
    );
    await balancer.balancer.start();
    const { catalog } = balancer.balancer.status();
    expect([...catalog.rejected.values()]).toEqual([]);
    expect(catalog.services.size).toBe(examples.length);
    const { backends } = await balancer.link.inspect();
    for (const i of examples.keys()) expect(backends).toContain(`example-${i}`);
  } finally {
    await balancer.stop();
    await rm(errorPages, { recursive: true });
  }
});
