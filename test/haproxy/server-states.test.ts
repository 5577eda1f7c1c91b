import { readFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { signal } from '../../src/haproxy/processes.ts';
import { startApp } from '../support/app.ts';
import { ask } from '../support/ask.ts';
import type { TestBalancer, TestBalancerOptions } from '../support/balancer.ts';
import { startOwnBalancer } from '../support/serving.ts';
import { until } from '../support/until.ts';

const check = { kind: 'http', path: '/health', interval: '300ms', fall: 1 };

/** An application that answers checks with the status `health` (not at all while it is 0), and requests with 500. */
async function startSick(name: string) {
  const state = { health: 503, requests: 0 };
  const app = await startApp(name, (request, response) => {
    if (request.url !== '/health') state.requests += 1;
    else if (state.health === 0) return;
    response.writeHead(request.url === '/health' ? state.health : 500).end(name);
  });
  return { ...app, state };
}

async function start(options: TestBalancerOptions = {}) {
  const [well, sick] = [await startApp('well'), await startSick('sick')];
  onTestFinished(async () => {
    await Promise.all([well.close(), sick.close()]);
  });
  const balancer = await startOwnBalancer(options);
  const isUp = async (id: string) => (await balancer.link.inspect()).servers.get('web')?.get(id)?.up;
  return { well, sick, balancer, isUp };
}

const policyWith = (interval: string) => JSON.stringify({ check: { ...check, interval } });

test('a server that is down stays down over a reload, whether it came at run time or from the file', async () => {
  const { well, sick, balancer, isUp } = await start();
  balancer.snapshot({
    'services/web': policyWith('300ms'),
    'instances/web/well': well.address,
    'instances/web/file': sick.address,
  });
  await balancer.balancer.start();
  balancer.change({ 'instances/web/run': sick.address });
  await balancer.applied();
  await until('both are down', async () => (await isUp('file')) === false && (await isUp('run')) === false);
  sick.state.requests = 0;
  // No check of the new worker comes before the end of this test.
  balancer.change({ 'services/web': policyWith('60s') });
  await balancer.applied();
  for (let i = 0; i < 20; i += 1) expect((await ask(balancer.port, 'web')).status).toBe(200);
  expect(sick.state.requests).toBe(0);
  expect(await balancer.metric('drift_total')).toBe(0);
});

/** Has somebody else reload HAProxy, by a signal to the master. Ends when pointsman is connected to the new worker. */
async function reloadedByOther({ balancer, haproxy, link }: TestBalancer): Promise<void> {
  const before = await haproxy.processes();
  expect(before?.masterPid).toBeDefined();
  signal(before?.masterPid ?? 0, 'SIGUSR2');
  await until('another worker is there', async () => (await haproxy.processes())?.workerPid !== before?.workerPid);
  balancer.watch.inspectSoon();
  await until('pointsman speaks with it', () => ![undefined, before?.workerPid].includes(link.workerPid));
}

test("a server that is down stays down over somebody else's reload and the end of HAProxy, until it is well", async () => {
  const { well, sick, balancer, isUp } = await start();
  balancer.snapshot({
    'services/web': policyWith('300ms'),
    'instances/web/well': well.address,
    'instances/web/sick': sick.address,
  });
  await balancer.balancer.start();
  balancer.change({ 'instances/web/waits': sick.address });
  await balancer.applied();
  await until('a check has failed', async () => (await isUp('sick')) === false);
  const has = async (server: string) =>
    (await readFile(balancer.paths.serverStates, 'utf8')).includes(` web 0 ${server} `);
  await until('the file says so', async () => (await has('sick')) && (await has('waits')));
  // No check of the next workers decides anything.
  balancer.change({ 'services/web': policyWith('60s') });
  await balancer.applied();
  await until('the file says so still', async () => (await has('sick')) && (await has('waits')));
  sick.state.requests = 0;
  await reloadedByOther(balancer);
  expect(await statuses(balancer.port)).toEqual([200]);
  const { workerPid = 0 } = (await balancer.haproxy.processes()) ?? {};
  expect(workerPid).not.toBe(0);
  signal(workerPid, 'SIGKILL');
  await until('HAProxy serves again', async () => (await balancer.metric('haproxy_starts_total')) === 2);
  expect(await statuses(balancer.port)).toEqual([200]);
  expect(sick.state.requests).toBe(0);
  expect(await balancer.metric('drift_total')).toBe(0);
  // The server counts as up once a check has passed.
  sick.state.health = 204;
  balancer.change({ 'services/web': policyWith('300ms') });
  await balancer.applied();
  await until('both are up', async () => (await isUp('sick')) === true && (await isUp('waits')) === true);
  await until('the file forgets them', async () => !(await has('sick')) && !(await has('waits')));
});

/** Asks so often that each server that takes requests gets some. */
async function statuses(port: number, host = 'web'): Promise<readonly number[]> {
  const all: number[] = [];
  for (let i = 0; i < 20; i += 1) all.push((await ask(port, host)).status);
  return [...new Set(all)];
}

describe('a new server', () => {
  test('whose check fails gets no request, and those whose check passes get theirs at once', async () => {
    const { well, sick, balancer, isUp } = await start();
    // No check of HAProxy itself decides anything in this test.
    balancer.snapshot({ 'services/web': policyWith('60s'), 'instances/web/well': well.address });
    await balancer.balancer.start();
    expect((await ask(balancer.port, 'web')).body).toBe('well');
    balancer.change({ 'instances/web/sick': sick.address, 'instances/web/well-too': well.address });
    await balancer.applied();
    await until('the one that is well is up', () => isUp('well-too'));
    expect(await statuses(balancer.port)).toEqual([200]);
    expect(sick.state.requests).toBe(0);
    expect(await isUp('sick')).toBe(false);
    // The balancer goes on asking until HAProxy does.
    sick.state.health = 204;
    await until('the other is up as well', () => isUp('sick'));
    expect(await statuses(balancer.port)).toContain(500);
    expect(balancer.lines.filter((line) => line.includes('server-down'))).toEqual([]);
  });

  test('that waits for its first check waits on when HAProxy ends and is started again', async () => {
    const { well, sick, balancer } = await start();
    // No check of HAProxy itself decides anything in this test.
    sick.state.health = 0;
    balancer.snapshot({ 'services/web': policyWith('60s'), 'instances/web/well': well.address });
    await balancer.balancer.start();
    balancer.change({ 'instances/web/sick': sick.address });
    await balancer.applied();
    const { workerPid = 0 } = (await balancer.haproxy.processes()) ?? {};
    expect(workerPid).not.toBe(0);
    signal(workerPid, 'SIGKILL');
    await until('HAProxy serves again', async () => (await balancer.metric('haproxy_starts_total')) === 2);
    expect(await statuses(balancer.port)).toEqual([200]);
    expect(sick.state.requests).toBe(0);
  });

  test('whose check fails gets no request either when it comes with a reload', async () => {
    const { well, sick, balancer, isUp } = await start();
    balancer.snapshot({ 'services/web': policyWith('60s'), 'instances/web/well': well.address });
    await balancer.balancer.start();
    await balancer.applied();
    const instances = { 'instances/web/z': sick.address, 'instances/web/well-too': well.address };
    // A new worker asks the first server of its file at once, and the last one after most of an interval.
    balancer.change({ 'services/web': policyWith('61s'), ...instances });
    await balancer.applied();
    await until('the one that is well is up', () => isUp('well-too'));
    expect(await statuses(balancer.port)).toEqual([200]);
    expect(sick.state.requests).toBe(0);
  });

  test('that register has checked before serves at once, and so does the first of a service', async () => {
    const { well, sick, balancer } = await start();
    const checked = (by: string) => JSON.stringify({ address: '127.0.0.1', port: sick.port, checked: by });
    balancer.snapshot({ 'services/web': policyWith('60s') });
    await balancer.balancer.start();
    balancer.change({ 'instances/web/a': well.address });
    await balancer.applied();
    const servers = async () => (await balancer.link.inspect()).servers.get('web');
    expect((await servers())?.get('a')?.up).toBe(true);
    balancer.change({ 'instances/web/http': checked('http'), 'instances/web/tcp': checked('tcp') });
    await balancer.applied();
    // A connection says nothing about an answer.
    expect((await servers())?.get('http')?.up).toBe(true);
    expect((await servers())?.get('tcp')?.up).toBe(false);
    // At another address nothing counts that was found at the former one.
    const moved = JSON.stringify({ address: '127.0.0.2', port: sick.port, checked: 'http' });
    balancer.change({ 'instances/web/tcp': moved });
    await balancer.applied();
    expect((await servers())?.get('tcp')).toMatchObject({ up: true, host: '127.0.0.2' });
  });

  test('whose check fails gets no request when it gets a weight only later', async () => {
    const { well, sick, balancer, isUp } = await start();
    balancer.snapshot({ 'services/web': policyWith('60s'), 'instances/web/well': well.address });
    await balancer.balancer.start();
    balancer.change({ 'instances/web/sick': sick.address, 'overrides/web/sick': '{"kind":"drain"}' });
    await balancer.applied();
    await until('its first check fails', () => balancer.lines.some((line) => line.includes('first-check-failed')));
    balancer.change({ 'overrides/web/sick': undefined });
    await balancer.applied();
    expect(await statuses(balancer.port)).toEqual([200]);
    // The same goes for one that is drained while it waits.
    balancer.change({ 'overrides/web/sick': '{"kind":"drain"}' });
    await balancer.applied();
    balancer.change({ 'overrides/web/sick': undefined });
    await balancer.applied();
    expect(await statuses(balancer.port)).toEqual([200]);
    expect(sick.state.requests).toBe(0);
    sick.state.health = 204;
    await until('it is up once its check passes', () => isUp('sick'));
    expect(await statuses(balancer.port)).toContain(500);
  });

  test('that waits for its first check serves when those that served leave, from before they do', async () => {
    const commands: string[] = [];
    const { well, sick, balancer } = await start({ onCommand: (line) => void commands.push(line) });
    balancer.snapshot({ 'services/web': policyWith('60s'), 'instances/web/well': well.address });
    await balancer.balancer.start();
    balancer.change({ 'instances/web/sick': sick.address });
    await balancer.applied();
    balancer.change({ 'instances/web/well': undefined });
    await until('it serves', async () => (await ask(balancer.port, 'web')).status === 500);
    // A request between the two would get 503.
    const at = (command: string) => commands.findIndex((line) => line.startsWith(command));
    expect(at('set server web/sick health up')).toBeGreaterThan(-1);
    expect(at('set server web/sick health up')).toBeLessThan(at('set server web/well state maint'));
  });
});
