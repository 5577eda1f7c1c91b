import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Client } from '../bench/client.ts';
import { startLoad } from '../bench/load.ts';
import { startApp } from './support/app.ts';
import { exchange } from './support/ask.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

const everyV1 = { balance: 'roundrobin', split: { v1: 100 } };

/** Three instances of v1, and one of v2 that answers as the test says, if no others are given. */
async function start(v2Status: () => number, policy: object = everyV1, versions = ['v1', 'v1', 'v1', 'v2']) {
  const scenario = await startScenario('folder');
  const apps = await Promise.all(
    versions.map((version) =>
      startApp(version, (_, response) => {
        response.statusCode = version === 'v2' ? v2Status() : 200;
        response.end(version);
      }),
    ),
  );
  onTestFinished(async () => {
    await Promise.all(apps.map((app) => app.close()));
  });
  for (const [i, { name, address }] of apps.entries()) {
    await scenario.writeByHand(`instances/web/i${i}`, JSON.stringify({ address, version: name }));
  }
  await scenario.writeByHand('services/web', JSON.stringify(policy));
  await scenario.balancer('--id', 'b1').logged('serving');
  await until('somebody answers', async () => (await scenario.ask('web')).status < 500);
  const shift = (...args: readonly string[]) =>
    runPointsman(['shift', 'web', '--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`, ...args]);
  const pin = () => runPointsman(['pin', 'web', '--json', '--registry', scenario.location]);
  const standing = () => readFile(join(scenario.dir, 'registry/services/web'), 'utf8');
  return { ...scenario, shift, pin, standing };
}

test('requests are split by version, exactly', async () => {
  const scenario = await start(() => 200);
  await scenario.writeByHand('services/web', JSON.stringify({ split: { v1: 95, v2: 5 } }));
  const client = new Client(scenario.http, 'web');
  onTestFinished(() => client.close());
  const share = async (requests: number) => {
    let second = 0;
    for (let i = 0; i < requests; i += 1) if ((await client.answer()).body === 'v2') second += 1;
    return second / requests;
  };
  await until('v2 answers', async () => (await share(100)) > 0);
  expect(Math.abs((await share(10_000)) - 0.05)).toBeLessThan(0.01);
  const { stdout } = await runPointsman([
    ...['status', 'web', '--json', '--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`],
  ]);
  const weights = JSON.parse(stdout[0] ?? '').instances.map(({ weight }: { weight: number }) => weight);
  expect(weights[3] / weights.reduce((sum: number, weight: number) => sum + weight)).toBeCloseTo(0.05, 2);
});

test('a shift goes step by step to the end', async () => {
  const scenario = await start(() => 200);
  const load = startLoad(scenario.http, 'web', 2);
  const { code, stdout } = await scenario.shift(
    '--to',
    'v2',
    '--weight',
    '10%,50%,100%',
    '--every',
    '1s',
    '--abort-if-errors',
    '1%',
  );
  const { reasons } = await load.stop();
  expect({ code, reasons }).toEqual({ code: 0, reasons: [] });
  expect(stdout.join('\n')).toMatch(/10% to v2[\s\S]*0 of \d+ requests failed[\s\S]*100% to v2; done/);
  expect(await scenario.answers('web')).toEqual(['v2']);
});

test('a shift gives the new version some requests by a header first, and then shares', async () => {
  const scenario = await start(() => 200);
  const seen = async (headers: Record<string, string>) => {
    const { body } = await exchange(scenario.http, { host: 'web', headers });
    return body;
  };
  const shifting = scenario.shift('--to', 'v2', '--weight', '100%', '--every', '3s', '--only-header', 'X-Canary=1');
  await until('v2 answers', async () => (await seen({ 'X-Canary': '1' })) === 'v2');
  for (let i = 0; i < 20; i += 1) expect(await seen({})).toBe('v1');
  for (let i = 0; i < 20; i += 1) expect(await seen({ 'X-Canary': '1' })).toBe('v2');
  const { code, stdout } = await shifting;
  expect(code).toBe(0);
  expect(stdout.join('\n')).toMatch(/requests with the header X-Canary=1 to v2[\s\S]*100% to v2; done/);
  expect(JSON.parse(await scenario.standing())).toEqual({ ...everyV1, split: { v2: 100 } });
});

test('a shift goes back to what was when the new version fails', async () => {
  const scenario = await start(() => 503);
  const load = startLoad(scenario.http, 'web', 2);
  const { code, stdout } = await scenario.shift(
    '--to',
    'v2',
    '--weight',
    '20%,100%',
    '--every',
    '20s',
    '--abort-if-errors',
    '5%',
    '--json',
  );
  await load.stop();
  expect(code).toBe(1);
  const events = stdout.map((line) => JSON.parse(line));
  expect(events.map(({ event }) => event)).toEqual(['step', 'aborted']);
  expect(events[1].failed).toBeGreaterThan(0);
  await scenario.serves('web', ['v1']);
});

test('a step with too few requests does not pass, unless the operator allows it', async () => {
  const scenario = await start(() => 200);
  const before = JSON.parse(await scenario.standing());
  const steps = ['--to', 'v2', '--weight', '20%', '--every', '1s', '--abort-if-errors', '5%'];
  const { code, stdout } = await scenario.shift(...steps, '--json');
  const events = stdout.map((line) => JSON.parse(line));
  expect(code).toBe(1);
  expect(events.map(({ event }) => event)).toEqual(['step', 'extended', 'aborted']);
  expect(events[2].reason).toBe('too few requests to judge: 0 came, and pointsman needs 20');
  expect(JSON.parse(await scenario.standing())).toEqual(before);
  const allowed = await scenario.shift(...steps, '--allow-few-requests');
  expect(allowed.code).toBe(0);
  expect(allowed.stdout.join()).toContain('0 of 0 requests failed; too few requests to judge');
});

test('a change of the policy during a shift is kept', async () => {
  const scenario = await start(() => 200);
  const shifting = scenario.shift('--to', 'v2', '--weight', '10%,50%', '--every', '3s');
  await until('the first step is written', async () => (await scenario.standing()).includes('"v2":10'));
  const { split } = JSON.parse(await scenario.standing());
  await scenario.writeByHand('services/web', JSON.stringify({ balance: 'roundrobin', hosts: ['new.example'], split }));
  expect((await shifting).code).toBe(0);
  expect(JSON.parse(await scenario.standing())).toMatchObject({ hosts: ['new.example'], split: { v2: 50 } });
});

test('a shift ends when somebody else changes the split, and leaves that one', async () => {
  const scenario = await start(() => 200);
  const shifting = scenario.shift('--to', 'v2', '--weight', '10%,50%', '--every', '3s', '--json');
  await until('the first step is written', async () => (await scenario.standing()).includes('"v2":10'));
  await scenario.writeByHand('services/web', JSON.stringify({ split: { v1: 70, v2: 30 } }));
  const { code, stdout } = await shifting;
  expect(code).toBe(1);
  expect(JSON.parse(stdout.at(-1) ?? '')).toMatchObject({
    event: 'stopped',
    reason: 'another program changed the split',
  });
  expect(JSON.parse(await scenario.standing())).toEqual({ split: { v1: 70, v2: 30 } });
});

test('a version that nobody has, and steps that do not rise, are refused', async () => {
  const scenario = await start(() => 200);
  const nobody = await scenario.shift('--to', 'v3');
  expect(nobody.stderr.join()).toContain('no instance of web has the version v3 (registered are v1, v2)');
  const falling = await scenario.shift('--to', 'v2', '--weight', '50%,25%');
  expect(falling.code).toBe(2);
  expect(falling.stderr.join()).toContain('does not rise');
});

test('a second shift gives nothing to a version that was retired', async () => {
  const scenario = await start(() => 200, { split: { v2: 100 } }, ['v1', 'v1', 'v2', 'v3']);
  await scenario.serves('web', ['v2']);
  expect((await scenario.shift('--to', 'v3', '--weight', '10%')).code).toBe(0);
  const client = new Client(scenario.http, 'web');
  onTestFinished(() => client.close());
  await until('v3 answers', async () => (await client.answer()).body === 'v3');
  const counts: Record<string, number> = {};
  for (let i = 0; i < 1000; i += 1) {
    const { body } = await client.answer();
    counts[body] = (counts[body] ?? 0) + 1;
  }
  expect(Object.keys(counts).sort()).toEqual(['v2', 'v3']);
  expect(Math.abs((counts['v3'] ?? 0) - 100)).toBeLessThan(20);
});

test('a version that has every request already can leave some to nobody', async () => {
  const scenario = await start(() => 200, { split: { v2: 100 } });
  expect((await scenario.shift('--to', 'v2')).code).toBe(0);
  const less = await scenario.shift('--to', 'v2', '--weight', '10%');
  expect(less.stderr.join()).toContain('v2 gets every request of web already');
  expect(less.code).toBe(2);
  await scenario.serves('web', ['v2']);
});

test('after a pin a new version gets nothing before a shift', async () => {
  const scenario = await start(() => 200, { balance: 'roundrobin' }, ['v1', 'v1']);
  const pinned = await scenario.pin();
  expect(JSON.parse(pinned.stdout[0] ?? '')).toMatchObject({ service: 'web', split: { v1: 100 } });
  const v2 = await startApp('v2', (_, response) => response.end('v2'));
  onTestFinished(() => v2.close());
  await scenario.writeByHand('instances/web/new', JSON.stringify({ address: v2.address, version: 'v2' }));
  const waited = await runPointsman(['wait', 'web/new', '--registry', scenario.location]);
  expect(waited.stdout.join()).toContain('web/new');
  expect(await scenario.answers('web')).toEqual(['v1']);
  expect(JSON.parse((await scenario.pin()).stdout[0] ?? '')).toEqual({ service: 'web', split: { v1: 100 } });
  expect((await scenario.shift('--to', 'v2', '--weight', '50%')).code).toBe(0);
  await scenario.serves('web', ['v1', 'v2']);
});

test('what has no version cannot be pinned, nor what is not there', async () => {
  const scenario = await start(() => 200, { balance: 'roundrobin' }, ['v1']);
  await scenario.writeByHand('instances/web/plain', '10.0.0.1:80');
  const plain = await scenario.pin();
  expect(plain.stderr.join()).toContain('web/plain has no version');
  const nobody = await runPointsman(['pin', 'nope', '--registry', scenario.location]);
  expect(nobody.stderr.join()).toContain('no instance of nope is registered');
  expect([plain.code, nobody.code]).toEqual([1, 1]);
});
