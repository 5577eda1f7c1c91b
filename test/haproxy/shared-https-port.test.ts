import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Asked, startEcho } from '../support/echo.ts';
import { issuePem } from '../support/pem.ts';
import { freePorts } from '../support/ports.ts';
import { logged, startOwnBalancer } from '../support/serving.ts';
import { startTcpEcho } from '../support/tcp.ts';
import { until } from '../support/until.ts';

const host = 'shop.example.com';
const from = '127.0.0.66';

/** One request over HTTPS. Gives the address that the server learns, or what went wrong. */
const ask = (port: number, agent: Agent | false): Promise<string> =>
  new Promise((resolve) => {
    const to = { port, host: '127.0.0.1', localAddress: from, servername: host, rejectUnauthorized: false, agent };
    get({ ...to, headers: { host } }, (response) => {
      let body = '';
      response.on('data', (part: Buffer) => {
        body += part.toString();
      });
      response.on('end', () => {
        const { headers } = response.statusCode === 200 ? (JSON.parse(body) as Asked) : { headers: {} };
        const { 'x-forwarded-for': client, 'x-forwarded-proto': proto } = headers as Asked['headers'];
        resolve(`${response.statusCode} ${client} ${proto}`);
      });
    }).on('error', ({ message }) => resolve(message));
  });

test('the first tcp service that shares the port of HTTPS, and the last one that leaves, cost HTTPS no request', async () => {
  const [app, db] = await Promise.all([startEcho('web'), startTcpEcho()]);
  onTestFinished(async () => {
    await Promise.all([app.close(), db.close()]);
  });
  const dir = await mkdtemp(join(tmpdir(), 'pm-beside-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  await issuePem(dir, host);
  await writeFile(join(dir, 'crt-list'), `${join(dir, `${host}.pem`)}\n`);
  const [port = 0] = await freePorts(1);
  const balancer = await startOwnBalancer({
    baseSettings: { https: { bind: `127.0.0.1:${port}`, list: join(dir, 'crt-list'), http3: false } },
  });
  balancer.snapshot({ 'services/web': JSON.stringify({ hosts: [host] }), 'instances/web/a': app.address });
  await balancer.balancer.start();
  await balancer.applied();

  const answers = new Map<string, number>();
  let running = true;
  const asking = async (agent: Agent) => {
    for (let i = 0; running; i += 1) {
      const answer = await ask(port, i % 2 === 0 ? agent : false);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const idle = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => {
    agent.destroy();
    idle.destroy();
  });
  const good = `200 ${from} https`;
  expect(await ask(port, idle)).toBe(good);
  const load = asking(agent);
  const policy = JSON.stringify({ mode: 'tcp', port, sni: ['db.example.com'] });
  for (const value of [policy, undefined, policy]) {
    balancer.change({ 'services/db': value, 'instances/db/a': value && db.address });
    await balancer.applied();
    const before = answers.get(good) ?? 0;
    await until('requests go on', () => (answers.get(good) ?? 0) > before + 5);
    expect(await ask(port, idle), 'of a connection that was idle over the reload').toBe(good);
  }
  running = false;
  await load;
  expect([...answers.keys()]).toEqual([good]);
  expect(logged(balancer, 'reload-failed')).toEqual([]);
});
