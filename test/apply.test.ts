import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startApp } from './support/app.ts';
import { ask } from './support/ask.ts';
import { startBalancers } from './support/balancers.ts';
import { isNightly } from './support/nightly.ts';
import { freePorts } from './support/ports.ts';
import { runPointsman, startPointsman } from './support/processes.ts';
import { until } from './support/until.ts';

async function start(kind: 'folder' | 'etcd') {
  const scenario = await startBalancers(kind);
  const folder = join(scenario.dir, 'policies');
  const args = (...more: readonly string[]) => ['apply', '--registry', scenario.location, ...more];
  return {
    ...scenario,
    folder,
    /** Writes a file of the folder that is applied. */
    async declare(content: unknown, name = 'all.yaml'): Promise<string> {
      const file = join(folder, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
      return file;
    },
    apply: (...more: readonly string[]) => runPointsman(args(...more, folder)),
    applying: (...more: readonly string[]) => startPointsman(args(...more, folder)),
    async values(): Promise<Readonly<Record<string, string>>> {
      const { entries } = await scenario.registry.read('');
      return Object.fromEntries(
        entries.filter(({ key }) => !key.startsWith('balancers/')).map(({ key, value }) => [key, value]),
      );
    },
  };
}

const json = (lines: readonly string[]) => JSON.parse(lines[0] ?? '{}');

/** `npm test` shows with etcd alone what is the same for both. */
const kinds = isNightly ? (['folder', 'etcd'] as const) : (['etcd'] as const);

describe.each(kinds)('apply, with the registry in %s,', (kind) => {
  test('writes what files declare, waits until every balancer serves it, and prunes what they no longer declare', async () => {
    const { declare, apply, balancerNamed, registry, values } = await start(kind);
    const app = await startApp('one');
    const balancers = await Promise.all(['lb-1', 'lb-2'].map((id) => balancerNamed(id)));
    for (const { process } of balancers) await process.logged('serving');
    await registry.write('services/by-hand', '{}');
    await declare({
      services: { web: { hosts: ['shop.test'] }, old: { hosts: ['old.test'] } },
      instances: { web: { a: { address: app.address } } },
      keys: { colour: 'blue' },
    });
    const first = await apply('--set', 'shop');
    expect(first).toMatchObject({ code: 0, stderr: [] });
    expect(first.stdout).toEqual([
      ...['created instances/web/a', 'created keys/colour', 'created services/old', 'created services/web'],
      expect.stringMatching(/^set shop: 4 created, 0 unchanged \(revision \d+\)$/),
      expect.stringMatching(/^2 balancers serve it \(.+\)$/),
    ]);
    // It has waited for that.
    for (const balancer of balancers) expect((await balancer.ask('shop.test')).body).toBe('one');

    const second = await apply('--set', 'shop', '--json');
    expect(json(second.stdout)).toMatchObject({
      written: true,
      served: true,
      changes: [],
      unchanged: 4,
      transactions: 0,
    });

    await declare({
      services: { web: { hosts: ['shop.test', 'old.test'] } },
      instances: { web: { a: { address: app.address } } },
    });
    const kept = json((await apply('--set', 'shop', '--json')).stdout);
    expect(kept.changes).toEqual([
      ...['keys/colour', 'services/old'].map((key) => ({ kind: 'undeclared', key })),
      { kind: 'update', key: 'services/web' },
    ]);
    const pruned = await apply('--set', 'shop', '--prune', '--json');
    expect(json(pruned.stdout)).toMatchObject({
      served: true,
      transactions: 1,
      balancers: [{ balancer: 'lb-1' }, { balancer: 'lb-2' }],
    });
    for (const balancer of balancers) expect((await balancer.ask('old.test')).body).toBe('one');
    expect(Object.keys(await values()).sort()).toEqual([
      ...['instances/web/a', 'services/by-hand', 'services/web', 'sets/shop/1'],
    ]);
    await app.close();
  });

  test('writes nothing when anything is wrong, and says where', async () => {
    const { declare, apply, folder, values } = await start(kind);
    await declare('services:\n  web:\n    hostz: [shop.test]\n  api: {}\n');
    const { code, stdout, stderr } = await apply();
    expect({ code, stdout }).toEqual({ code: 2, stdout: [] });
    expect(stderr[0]).toMatch(`${folder}/all.yaml:3:5: "hostz" is not a field of a policy`);
    expect(stderr.at(-1)).toBe('pointsman: 1 problem: nothing was written');
    expect(await values()).toEqual({});
  });

  test('leaves what others own, and what a process registered', async () => {
    const { declare, apply, folder, registry, values } = await start(kind);
    await declare({ services: { web: {} } });
    expect(await apply('--set', 'shop')).toMatchObject({ code: 0 });
    const session = registry.openSession({ ttlMs: 60_000, mayReplace: () => true, onEvent: () => undefined });
    const registered = JSON.stringify({ address: '127.0.0.1:1' });
    await session.put('instances/web/a', registered);
    await registry.write('services/hand', '{"mode":"tcp"}');
    await declare({
      services: { web: { hosts: ['a.test'] }, hand: {} },
      instances: { web: { a: { address: '127.0.0.1:2' } } },
    });
    const refused = await apply('--set', 'other');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toEqual([
      expect.stringMatching(`^${folder}/all.yaml:1:\\d+: the set shop owns services/web .*--take`),
      expect.stringMatching(`^${folder}/all.yaml:1:\\d+: services/hand has another value, which no set owns .*--take`),
      expect.stringMatching(`^${folder}/all.yaml:1:\\d+: instances/web/a is under a lease`),
      'pointsman: 3 problems: nothing was written',
    ]);
    const taking = await apply('--set', 'other', '--take');
    expect(taking.stderr).toEqual([expect.stringContaining('is under a lease'), expect.stringContaining('1 problem')]);
    expect(await values()).toMatchObject({ 'services/web': '{}', 'instances/web/a': registered });

    await declare({ services: { web: { hosts: ['a.test'] }, hand: {} } });
    expect((await apply('--set', 'other', '--take')).stdout).toEqual([
      ...['taken over services/hand (no set owned it)', 'taken over services/web (from shop)'],
      expect.stringContaining('set other: 2 taken over'),
      'no balancer is alive: nothing was waited for',
    ]);
    expect(Object.keys(await values()).filter((key) => key.startsWith('sets/'))).toEqual(['sets/other/1']);
    await session.close();
  });

  test('removes a whole set only for a file that says so, and not for an empty folder or an empty input', async () => {
    const { declare, apply, folder, location, values } = await start(kind);
    const file = await declare({ services: { web: {}, api: {} } });
    expect((await apply()).code).toBe(0);
    const before = await values();
    await rm(file);
    const empty = await apply('--prune');
    expect(empty).toMatchObject({ code: 2, stdout: [] });
    expect(empty.stderr[0]).toBe(
      `${folder}: it declares nothing, so --prune would remove all that the set default owns (to remove a whole set, apply a file that has only this line: services: {})`,
    );
    const input = (text: string) => {
      const args = ['apply', '--registry', location, '--prune', '-'];
      return runPointsman(args, { through: ['sh', '-c', 'printf %s "$0" | "$@"', text] });
    };
    expect(await input('')).toMatchObject({ code: 2, stderr: [expect.stringMatching(/^stdin: /), expect.anything()] });
    await declare('');
    expect((await apply('--prune')).code).toBe(2);
    expect(await values()).toEqual(before);
    expect(await input('services: {}\n')).toMatchObject({ code: 0, stderr: [] });
    expect(await values()).toEqual({});
  });

  test('refuses to remove more than --max-prune', async () => {
    const { declare, apply, values } = await start(kind);
    const services = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`s${index}`, {}]));
    await declare({ services });
    expect(await apply()).toMatchObject({ code: 0 });
    const before = await values();
    await declare({ services: { s1: {} } });
    const { code, stderr } = await apply('--prune');
    expect(code).toBe(2);
    expect(stderr[0]).toMatch(/^set default: it would remove 29 of the 30 keys of the set default, more than 20: /);
    expect(await values()).toEqual(before);
    expect(await apply('--prune', '--max-prune', '29')).toMatchObject({ code: 0 });
    expect(Object.keys(await values()).sort()).toEqual(['services/s1', 'sets/default/1']);
  });

  test('of two at once, the registry is as one of them wants it', async () => {
    const { declare, apply, applying, folder, registry, location } = await start(kind);
    const content = (by: string) => {
      const keys = Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`k${index}`, `by ${by}`]));
      return { keys: { shared: { ...keys, [`only-${by}`]: by } } };
    };
    await declare(content('start'));
    expect(await apply('--prune')).toMatchObject({ code: 0 });
    const processes = [];
    for (const by of ['a', 'b', 'c']) {
      await declare(content(by), `../${by}.yaml`);
      const file = join(folder, `../${by}.yaml`);
      processes.push(startPointsman(['apply', '--registry', location, '--prune', '--no-wait', file]));
    }
    expect(await Promise.all(processes.map(({ ended }) => ended))).toEqual(
      processes.map(() => ({ code: 0, signal: null })),
    );
    const { entries } = await registry.read('keys/shared/');
    expect(new Set(entries.map(({ value }) => value.replace(/^by /, ''))).size).toBe(1);
    expect(entries).toHaveLength(401);
    await declare(content('start'));
    const last = applying('--prune', '--json');
    expect(await last.ended).toMatchObject({ code: 0 });
    expect(json(last.stdout)).toMatchObject({ transactions: 4 });
  });
});

test('--no-wait writes, and says nothing about the balancers', async () => {
  const { declare, apply, values } = await start('folder');
  await declare({ keys: { colour: 'blue' } });
  const first = await apply('--no-wait');
  expect(first).toMatchObject({ code: 0, stderr: [] });
  expect(first.stdout).toEqual(['created keys/colour', expect.stringMatching(/^set default: 1 created, 0 unchanged/)]);
  expect(await values()).toMatchObject({ 'keys/colour': 'blue' });
  await declare({ keys: { colour: 'red' } });
  const report = json((await apply('--no-wait', '--json')).stdout);
  expect(report).toMatchObject({ written: true, balancers: [] });
  expect(report).not.toHaveProperty('served');
});

test('apply --json prints what is wrong with a path, too', async () => {
  const nowhere = await runPointsman(['apply', '--registry', 'dir:/nowhere', '--json', '/nowhere/a.yaml']);
  expect(nowhere).toMatchObject({ code: 2, stderr: [] });
  expect(json(nowhere.stdout)).toMatchObject({ written: false, problems: [{ where: '/nowhere/a.yaml' }] });
});

test('a key that is a value and a folder is refused before anything is written where keys are files', async () => {
  const { declare, apply, registry, values } = await start('folder');
  const file = await declare('keys:\n  a: x\n  a/b: y\n');
  const refused = await apply();
  expect(refused).toMatchObject({ code: 2, stdout: [] });
  expect(refused.stderr[0]).toBe(
    `${file}:2:3: keys/a cannot be a value and a folder in a directory registry (keys/a/b is below it, at ${file}:3:3)`,
  );
  expect(await values()).toEqual({});
  // The same with a key of somebody else.
  await registry.write('keys/c/by-hand', 'z');
  await declare('keys:\n  a: x\n  c: y\n');
  expect(await apply()).toMatchObject({
    code: 2,
    stderr: ['pointsman: keys/c: it is a folder, which cannot have a value'],
  });
  expect(await values()).toEqual({ 'keys/c/by-hand': 'z' });
});

test('an apply that is killed between two transactions is finished by the next one', async () => {
  const { declare, apply, applying, registry, etcd } = await start('etcd');
  const keys = (from: number) =>
    Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`k${from + index}`, 'x'.repeat(200)]));
  await declare({ keys: { shop: keys(0) } });
  const first = applying('--no-wait');
  const written = async () => (await registry.read('keys/shop/')).entries.length;
  await until('a part is written', async () => (await written()) > 0, { everyMs: 1 });
  first.kill('SIGKILL');
  await first.ended;
  expect(await written()).toBeGreaterThan(0);
  // Everything that it wrote is the set's, whatever comes next.
  await declare({ keys: { shop: keys(1900) } });
  expect(await apply('--no-wait', '--prune', '--max-prune', '5000')).toMatchObject({ code: 0 });
  const { entries } = await registry.read('keys/shop/');
  expect(entries.map(({ key }) => key).sort()).toEqual(
    Object.keys(keys(1900))
      .map((key) => `keys/shop/${key}`)
      .sort(),
  );
  expect(etcd).toBeDefined();
});

test('an apply ends with 1 and says who does not serve which declaration, and why', async () => {
  const { declare, apply, balancerNamed, folder, dir, location } = await start('etcd');
  const one = await balancerNamed('lb-1', '--haproxy-templates', await refusingTemplates(dir));
  await one.process.logged('serving');
  const app = await startApp('one');
  const instance = `{a: {address: "${app.address}"}}`;
  await declare(`services:
  good: {check: {kind: http, path: /good}}
  bad: {check: {kind: http, path: /missing}}
instances: {good: ${instance}, bad: ${instance}}
`);
  // Waiting does not help, so it ends at once.
  const { code, stdout, stderr } = await apply('--timeout', '1h');
  expect(code).toBe(1);
  expect(stdout).toContain('created services/bad');
  const refusal = stderr.filter((line) => line.includes('does not serve'));
  expect(refusal).toEqual([
    expect.stringMatching(`^${folder}/all.yaml:3:3: lb-1 does not serve services/bad: .*HAProxy refuses it`),
  ]);
  expect(stderr.at(-1)).toMatch(
    /^pointsman: set default: it is written, and not served by every balancer: lb-1 refuses /,
  );
  expect(json((await apply('--timeout', '1h', '--json')).stdout)).toMatchObject({ served: false, changes: [] });
  const args = ['policy', 'set', 'good', 'check.path=/missing', '--timeout', '1h', '--registry', location];
  const hand = await runPointsman(args);
  expect(hand.code).toBe(1);
  expect(hand.stderr.at(-1)).toMatch(
    /^pointsman: services\/good: it is written, and not served by every balancer: lb-1 /,
  );

  const waited = await runPointsman(['wait', 'bad', '--timeout', '1h', '--registry', location]);
  expect(waited).toMatchObject({ code: 1, stderr: [expect.stringContaining('lb-1 does not serve it: ')] });
  await declare(`services:
  good: {check: {kind: http, path: /good}}
  bad: {check: {kind: http, path: /good}}
instances: {good: ${instance}, bad: ${instance}}
`);
  // The refusal of the version before does not count.
  expect(await apply('--timeout', '1h', '--take')).toMatchObject({ code: 0 });
  await app.close();
});

test('an apply says who holds what it removed, and how to let go of it', async () => {
  const { declare, apply, balancerNamed, location, acknowledged } = await start('etcd');
  const one = await balancerNamed('lb-1');
  await one.process.logged('serving');
  await declare({ services: { a: {}, b: {}, c: {}, d: {} }, keys: { colour: 'blue' } });
  expect(await apply()).toMatchObject({ code: 0 });
  await declare({ keys: { colour: 'blue' } });
  const { code, stderr } = await apply('--prune', '--timeout', '1h');
  expect(code).toBe(1);
  expect(stderr).toContainEqual(
    expect.stringMatching(/^services\/a: it was removed, and lb-1 keeps it: .*it is held \(`pointsman release` /),
  );
  expect(await runPointsman(['release', '--all', '--registry', location])).toMatchObject({ code: 0 });
  await acknowledged('lb-1', 'that it holds nothing', ({ refusals }) => refusals.length === 0);
});

test('an apply says when the registry cannot be reached, and when no balancer is behind', async () => {
  const { acknowledged, declare, apply, balancerNamed, folder } = await start('etcd');
  await declare({ services: { web: {} } });
  const [port] = await freePorts(1);
  const away = await runPointsman(['apply', '--registry', `etcd://127.0.0.1:${port}`, folder]);
  expect(away.code).toBe(1);
  expect(away.stderr.at(-1)).toMatch(
    /^pointsman: etcd:\/\/127\.0\.0\.1:\d+\/pointsman\/: .*\(check the address and that etcd is healthy\)$/,
  );
  const stopped = await balancerNamed('lb-1');
  await acknowledged('lb-1', 'a revision', ({ revision }) => revision > 0n);
  stopped.process.kill('SIGSTOP');
  const late = await apply('--timeout', '1s');
  stopped.process.kill('SIGCONT');
  expect(late.code).toBe(1);
  expect(late.stderr[0]).toMatch(/not served by every balancer after 1s: lb-1 is at revision \d+$/);
});

describe('apply --watch', () => {
  test('follows the files, keeps the last good state, restores what others change, and ends in order', async () => {
    const { declare, applying, folder, registry, values } = await start('etcd');
    const [port = 0] = await freePorts(1);
    await declare({ services: { web: { hosts: ['a.test'] } } });
    const watch = applying('--watch', '--prune', '--interval', '1s', '--admin', `127.0.0.1:${port}`);
    const has = (what: string, wanted: Readonly<Record<string, string>>) =>
      until(what, async () => {
        const { 'sets/default/1': _, ...now } = await values();
        return JSON.stringify(now) === JSON.stringify(wanted);
      });
    const ready = async () => (await ask(port, 'localhost', '/readyz')).status;
    await has('the first state is applied', { 'services/web': '{"hosts":["a.test"]}' });
    await until('it is ready', async () => (await ready()) === 200);

    await declare({ services: { web: { hosts: ['b.test'] }, api: {} } });
    const second = { 'services/api': '{}', 'services/web': '{"hosts":["b.test"]}' };
    await has('a change of a file is applied', second);

    await registry.write('services/web', '{"mode":"tcp"}');
    await has('what somebody else changed is restored', second);

    await declare('services: {web: {hostz: []}}\n');
    const { problems } = await watch.logged('apply-refused');
    expect(problems).toEqual([expect.stringContaining(`${folder}/all.yaml:1:`)]);
    expect(await ready()).toBe(503);
    expect(JSON.parse((await ask(port, 'localhost', '/status')).body)).toMatchObject({ ready: false, problems });
    expect((await ask(port, 'localhost', '/metrics')).body).toContain('pointsman_apply_ready 0');
    await rm(join(folder, 'all.yaml'));
    await watch.logged('apply-refused', ({ problems: what }) => String(what).includes('declares nothing'));
    await has('nothing is removed', second);

    await declare({ services: { web: { hosts: ['c.test'] } } }, 'sub/web.yaml');
    await has('a good state is applied again', { 'services/web': '{"hosts":["c.test"]}' });
    watch.kill('SIGTERM');
    expect(await watch.ended).toEqual({ code: 0, signal: null });
  });
});

/** Templates with which HAProxy refuses a policy whose health check names another page than `/good`. */
async function refusingTemplates(dir: string): Promise<string> {
  const [templates, pages] = [join(dir, 'templates'), join(dir, 'pages')];
  await Promise.all([mkdir(templates), mkdir(pages)]);
  await writeFile(join(pages, 'good'), 'HTTP/1.0 503 x\r\n\r\n');
  const shipped = await readFile(join(import.meta.dirname, '../templates/policy.mustache'), 'utf8');
  const page = `{{#httpCheck}}\n    errorfile 503 ${pages}{{path}}\n{{/httpCheck}}\n\n`;
  await writeFile(join(templates, 'policy.mustache'), `${shipped.trimEnd()}\n${page}`);
  return templates;
}
