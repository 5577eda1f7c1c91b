import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { startBalancers } from './support/balancers.ts';
import { freePort } from './support/ports.ts';
import { runPointsman } from './support/processes.ts';

const roots = process.env['POINTSMAN_ROOTS'] ?? '/var/cache/pointsman-roots';
/** HAProxy 3.4, which makes a new service of a known policy without a reload. */
const newest = join(roots, 'sid.bin', 'haproxy');

async function startFleet() {
  const fleet = await startBalancers('etcd');
  const [a = '', b = ''] = await startApps('a', 'b');
  const file = join(fleet.dir, 'shop.yaml');
  const command = async (name: string, ...more: readonly string[]) =>
    runPointsman([name, '--registry', fleet.location, '--set', 'shop', file, ...more]);
  return {
    ...fleet,
    ...{ a, b, file },
    declare: (text: string) => writeFile(file, text),
    diff: (...more: readonly string[]) => command('diff', ...more),
    apply: () => command('apply'),
    /** A balancer that others on this machine find by its acknowledgement. */
    reachable: async (id: string, ...more: readonly string[]) => {
      const balancer = await fleet.balancerNamed(id, '--admin', `0.0.0.0:${await freePort()}`, ...more);
      await balancer.process.logged('serving');
      await fleet.acknowledged(id, 'its version', ({ haproxyVersion }) => haproxyVersion !== undefined);
      return balancer;
    },
  };
}

const instances = (address: string, ...services: readonly string[]): string =>
  `instances:\n${services.map((name) => `  ${name}:\n    one: ${address}\n`).join('')}`;

test('diff shows the changes by key and field with their places, and what each HAProxy would do', async ({ skip }) => {
  if (!existsSync(newest)) skip(`there is no ${newest}`);
  const { reachable, balancerNamed, declare, diff, apply, file, a } = await startFleet();
  await Promise.all([reachable('lb-1'), reachable('lb-2'), reachable('lb-3', '--haproxy', newest)]);
  const hidden = await balancerNamed('lb-4');
  await hidden.process.logged('serving');
  await declare(`services:\n  web:\n    maxqueue: 7\n${instances(a, 'web')}`);
  expect((await apply()).code).toBe(0);
  expect(await diff()).toMatchObject({ code: 0, stdout: ['nothing to change, 2 unchanged'], stderr: [] });

  await declare(
    `services:\n  web:\n    hosts: [shop.test]\n  api:\n    maxqueue: 7\n${instances(a, 'web')}  api: {one: ${a}}\nkeys:\n  motd: hello\n`,
  );
  const { code, stdout, stderr } = await diff();
  expect({ code, stderr }).toEqual({ code: 1, stderr: [] });
  expect(stdout.map((line) => line.replace(/policy-[0-9a-f]+/, 'policy-HASH').replace(/ id \d+ .*/, ' …'))).toEqual([
    `+ instances/api/one  ${file}:9:9`,
    `    + ${a}`,
    `+ keys/motd  ${file}:11:3`,
    '    + hello',
    `+ services/api  ${file}:4:3`,
    '    + maxqueue: 7',
    `~ services/web  ${file}:2:3`,
    '    - maxqueue: 7',
    '    + hosts: ["shop.test"]',
    '3 to create, 1 to change, 1 unchanged',
    '',
    expect.stringMatching(/^lb-1, lb-2 \(HAProxy [\d.]+\): no command, a reload, 2 instances concerned$/),
    '    reload: service api is new',
    '    reload: keywords of web/one changed',
    ...['- web/ web', '+ api/ api', '+ api.*/ api', '+ shop.test/ web', '- web.*/ web'].map(
      (one) => `    route ${one}`,
    ),
    '    HAProxy accepts the configuration',
    expect.stringMatching(/^lb-3 \(HAProxy 3\.4\.\d+\): 5 commands, a reload, 2 instances concerned$/),
    '    add backend api from policy-HASH mode http',
    `    add server api/one ${a} weight 100 …`,
    '    publish backend api',
    '    add map routes.map api/ api',
    '    add map routes.map api.*/ api',
    '    reload: keywords of web/one changed',
    ...['- web/ web', '+ shop.test/ web', '- web.*/ web'].map((one) => `    route ${one}`),
    '    HAProxy accepts the configuration',
    expect.stringContaining('lb-4: not asked: its admin port listens on its own machine only'),
    expect.stringContaining('--admin-token-file'),
  ]);

  const json = JSON.parse((await diff('--json')).stdout.join(''));
  expect(json).toMatchObject({ set: 'shop', unchanged: 1, problems: [], notAsked: [{ id: 'lb-4' }] });
  expect(json.balancers.map((one: { balancers: object[] }) => one.balancers)).toMatchObject([
    [{ id: 'lb-1' }, { id: 'lb-2' }],
    [{ id: 'lb-3' }],
  ]);
  expect(await diff('--without-balancers')).toMatchObject({ code: 1, stdout: stdout.slice(0, 10) });
});

test('diff ends with 2 after an error, and asks balancers of other machines with a signature', async () => {
  const { reachable, declare, diff, dir, a } = await startFleet();
  const token = join(dir, 'token');
  await writeFile(token, 'a token of some length');
  await reachable('lb-1', '--admin-token-file', token);
  await declare('services:\n  web:\n    hostz: [shop.test]\n');
  expect(await diff()).toMatchObject({
    code: 2,
    stderr: [expect.stringMatching(/shop\.yaml:3:5: "hostz" is not a field of a policy/)],
  });
  await declare('services:\n  web:\n    hosts: [shop.test]\n');
  expect((await diff('--admin-token-file', join(dir, 'none'))).code).toBe(2);
  expect((await diff('--registry', 'etcd://127.0.0.1:9')).code).toBe(2);
  expect((await diff('--colour')).code).toBe(2);
  expect((await diff('--admin-token-file', token)).stdout).toContainEqual(expect.stringMatching(/^lb-1 .* a reload/));
  // The registry can be read, and the policy of another set stays as it is.
  await declare(`services:\n  web:\n    hosts: [shop.test]\n${instances(a, 'web')}`);
  expect((await diff('--take')).code).toBe(1);
});
