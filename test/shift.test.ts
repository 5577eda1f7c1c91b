import { expect, onTestFinished, test } from 'vitest';
import { Client } from '../bench/client.ts';
import { startLoad } from '../bench/load.ts';
import { startApp } from './support/app.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

/** Three instances of v1, and one of v2 that answers as the test says. */
async function start(v2Status: () => number) {
  const scenario = await startScenario('folder');
  const apps = await Promise.all(
    ['v1', 'v1', 'v1', 'v2'].map((version) =>
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
  await scenario.writeByHand('services/web', JSON.stringify({ balance: 'roundrobin', split: { v1: 100 } }));
  await scenario.balancer('--id', 'b1').logged('serving');
  await scenario.serves('web', ['v1']);
  const shift = (...args: readonly string[]) =>
    runPointsman(['shift', 'web', '--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`, ...args]);
  return { ...scenario, shift };
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

test('a version that nobody has, and steps that do not rise, are refused', async () => {
  const scenario = await start(() => 200);
  const nobody = await scenario.shift('--to', 'v3');
  expect(nobody.stderr.join()).toContain('no instance of web has the version v3 (there are v1, v2)');
  const falling = await scenario.shift('--to', 'v2', '--weight', '50%,25%');
  expect(falling.code).toBe(2);
  expect(falling.stderr.join()).toContain('does not rise');
});
