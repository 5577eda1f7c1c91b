import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from './support/app.ts';
import { ask } from './support/ask.ts';
import { haproxyBin } from './support/balancer.ts';
import { startOwnBalancer } from './support/serving.ts';
import { until } from './support/until.ts';

test('changes by command are served while a check hangs, and only the service that it hangs for is kept back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pm-hang-'));
  const executable = join(folder, 'haproxy');
  const hangs = '[ "$1" != -c ] || ! grep -q "/hangs" "$3" || exec sleep 60';
  await writeFile(executable, `#!/bin/bash\n${hangs}\nexec ${haproxyBin} "$@"\n`);
  await chmod(executable, 0o755);
  const [a, b] = [await startApp('a'), await startApp('b')];
  onTestFinished(async () => {
    for (const app of [a, b]) await app.close();
    await rm(folder, { recursive: true, force: true });
  });
  const balancer = await startOwnBalancer({ executable, retryMs: 60_000 });
  const told: string[] = [];
  balancer.balancer.observe({
    onApplied: () => undefined,
    trouble: undefined,
    onServed: ({ revision }, { unserved }) => void told.push(`${revision} ${unserved.map(({ key }) => key).join()}`),
  });
  balancer.snapshot({ 'instances/web/a': a.address });
  await balancer.balancer.start();
  await balancer.applied();
  const check = (path: string) => JSON.stringify({ check: { kind: 'http', path } });
  balancer.change({ 'services/slow': check('/hangs'), 'instances/slow/a': a.address });
  await until('the check hangs', () => balancer.balancer.status().pending.length > 0);
  let longest = 0;
  for (let i = 0; i < 6; i += 1) {
    const [comes, goes] = i % 2 === 0 ? [b, 'a'] : [a, 'b'];
    const put = performance.now();
    balancer.change({
      [`instances/web/${i % 2 === 0 ? 'b' : 'a'}`]: comes.address,
      [`instances/web/${goes}`]: undefined,
    });
    await until(
      'the new one serves',
      async () => (await ask(balancer.port, 'web')).body === (i % 2 === 0 ? 'b' : 'a'),
      {
        everyMs: 1,
      },
    );
    longest = Math.max(longest, performance.now() - put);
  }
  process.stderr.write(`while a check hangs, a change is served within ${Math.round(longest)} ms\n`);
  expect(longest).toBeLessThan(2000);
  expect(balancer.balancer.status().quarantined).toEqual([]);
  // Fleet members that wait for another service get an acknowledgement, too.
  const { revisionSeen } = balancer.balancer.status();
  await until('it is told', () => told.includes(`${revisionSeen} instances/slow/*`));
  balancer.change({ 'services/api': check('/'), 'instances/api/a': a.address });
  await until('api is served', async () => (await ask(balancer.port, 'api')).body === 'a');
  expect(balancer.balancer.status().quarantined.map(({ key }) => key)).toEqual(['services/slow']);
  await balancer.applied();
});
