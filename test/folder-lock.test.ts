import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { startScenario } from './support/scenario.ts';

test('a second balance on the same folder is refused, and the first one keeps its HAProxy', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/a', a);
  const first = scenario.balancer();
  await first.logged('serving');
  const second = scenario.balancer();
  expect((await second.ended).code).toBe(1);
  expect(second.stderr.join('\n')).toContain(`another pointsman uses this folder, with the pid ${first.pid} on `);
  await scenario.writeByHand('instances/web/b', b);
  await scenario.serves('web', ['a', 'b']);
  expect(first.log.filter(({ event }) => ['haproxy-exited', 'drift', 'worker-replaced'].includes(event))).toEqual([]);

  // A killed pointsman leaves its HAProxy to the next one, even if another process has its pid by now.
  first.kill('SIGKILL');
  await first.ended;
  const third = scenario.balancer();
  await third.logged('haproxy-adopted');
  await third.logged('serving');
  // And one that ends is waited for.
  third.kill('SIGTERM');
  const fourth = scenario.balancer();
  await fourth.logged('serving');
  await scenario.serves('web', ['a', 'b']);
});
