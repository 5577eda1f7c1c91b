import { afterAll, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { exchange } from '../support/ask.ts';
import { serveAll } from '../support/policies.ts';
import { freePorts } from '../support/ports.ts';
import { until } from '../support/until.ts';

/** The names of applications that answer with an error now. */
const failing = new Set<string>();
const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});

const served = serveAll(async () => {
  const addressOf = async (name: string) => {
    const app = await startApp(name, (_, response) => {
      response.writeHead(failing.has(name) ? 500 : 200).end(name);
    });
    closing.push(app.close);
    return app.address;
  };
  const instances = async (service: string, names: readonly string[]) =>
    Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await addressOf(`${service}-${name}`)] as const)),
    );
  const check = { kind: 'tcp', interval: '100ms', rise: 1 };
  const ejection = { errors: 3, within: '10s', for: '1s', most: '50%' };
  const healthy = await startApp('healthy');
  closing.push(healthy.close);
  const [closed = 0] = await freePorts(1);
  return {
    split: {
      policy: { check, ejection, split: { v1: 100, v2: 0 } },
      instances: {
        old: { address: await addressOf('split-old'), version: 'v1' },
        new: { address: await addressOf('split-new'), version: 'v2' },
      },
    },
    refusing: {
      policy: { check: { ...check, port: healthy.port }, ejection: { ...ejection, for: '1h' } },
      instances: { a: healthy.address, b: `127.0.0.1:${closed}`, c: await addressOf('refusing-c') },
    },
    web: {
      policy: { check: { kind: 'tcp', interval: '500ms', rise: 2 }, ejection },
      instances: await instances('web', ['a', 'b', 'c', 'd']),
    },
    all: {
      policy: { check, ejection: { ...ejection, for: '1h' } },
      instances: await instances('all', ['a', 'b', 'c', 'd']),
    },
    alone: { policy: { check, ejection }, instances: await instances('alone', ['a']) },
  };
});

const ask = async (host: string) => {
  const { status, body } = await exchange(served.balancer.port, { host });
  return status === 200 ? body : String(status);
};
const askOften = async (host: string, times: number) => {
  const answers: string[] = [];
  for (let i = 0; i < times; i += 1) answers.push(await ask(host));
  return answers;
};
const events = (event: string, key: string) =>
  served.balancer.lines.filter((line) => line.includes(`"event":"${event}"`) && line.includes(`"key":"${key}"`));
const happens = (event: string, key: string) =>
  until(`${event} of ${key}`, () => Promise.resolve(events(event, key).length > 0));

describe('a server whose requests fail while its checks pass', () => {
  test('gets no request after the errors in a row, then some on trial, then all again', async () => {
    failing.add('web-b');
    await until('it is taken out', async () => (await ask('web')) === '500');
    const answers = await askOften('web', 40);
    // Three in all. HAProxy may have chosen it for one more request before it is down.
    expect(answers.filter((one) => one === '500').length).toBeLessThanOrEqual(3);
    await happens('instance-ejected', 'instances/web/b');
    expect(await served.balancer.metric('ejections_total', { service: 'web' })).toBe(1);
    await until('its weight is 0', async () => /server b \S+ weight 0/.test(await served.balancer.config()));
    failing.delete('web-b');
    await happens('ejection-trial', 'instances/web/b');
    await happens('ejection-ended', 'instances/web/b');
    await until('it gets requests again', async () => (await ask('web')) === 'web-b');
  });

  test('is ejected only as far as the policy allows, and requests never run out of servers', async () => {
    for (const name of ['a', 'b', 'c', 'd']) failing.add(`all-${name}`);
    await until('two are ejected', async () => {
      await askOften('all', 20);
      return (
        served.balancer.lines.filter((line) => line.includes('instance-ejected') && line.includes('instances/all/'))
          .length === 2
      );
    });
    await until('others are spared', async () => {
      await askOften('all', 20);
      return served.balancer.lines.some((line) => line.includes('ejection-spared') && line.includes('instances/all/'));
    });
    for (const name of ['a', 'b', 'c', 'd']) failing.delete(`all-${name}`);
    await until('the others answer', async () => (await ask('all')).startsWith('all-'));
    expect(new Set(await askOften('all', 20)).size).toBe(2);
  });

  test('that has no others stays', async () => {
    failing.add('alone-a');
    await until('it has errors in a row', async () => {
      await ask('alone');
      return events('ejection-spared', 'instances/alone/a').length > 0;
    });
    await until('it answers again', async () => (await ask('alone')) === '500');
  });

  test('is ejected as well if its connections are refused and other servers answer for it', async () => {
    await until('it is ejected', async () => {
      await askOften('refusing', 5);
      return events('instance-ejected', 'instances/refusing/b').length > 0;
    });
  });

  test('stays while only a version without a share could stand in for it', async () => {
    failing.add('split-old');
    await until('it has errors in a row', async () => {
      await ask('split');
      return events('ejection-spared', 'instances/split/old').length > 0;
    });
    await until('it answers again', async () => (await ask('split')) === '500');
    expect(await askOften('split', 10)).not.toContain('split-new');
  });
});
