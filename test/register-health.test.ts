import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isAlive } from '../src/haproxy/processes.ts';
import { startApp } from './support/app.ts';
import { makeAuthority } from './support/certificates.ts';
import { freePort } from './support/ports.ts';
import { startRegistration } from './support/registration.ts';
import { until } from './support/until.ts';

const quick = ['--check-interval', '50ms', '--check-timeout', '1s', '--check-fall', '2'];

/** An application whose health can be set. */
async function startPatient() {
  const patient = { well: true, hangs: false, asked: 0, open: 0, mostOpen: 0 };
  const handle = (req: IncomingMessage, res: ServerResponse) => {
    patient.asked += 1;
    patient.open += 1;
    // A moment later, when the end of the connection before this one has been read, too.
    setTimeout(() => {
      patient.mostOpen = Math.max(patient.mostOpen, patient.open);
    }, 20);
    req.socket.once('close', () => {
      patient.open -= 1;
    });
    if (!patient.hangs) res.writeHead(patient.well ? 204 : 503).end();
  };
  const app = await startApp('patient', handle);
  onTestFinished(() => app.close());
  return Object.assign(patient, { address: app.address });
}

describe.each(['folder', 'etcd'] as const)('register, with the registry in %s', (kind) => {
  test('announces an application when it is well for the first time, and says once what it waits for', async () => {
    const { register, recorder } = await startRegistration(kind);
    const port = await freePort();
    const registration = register('a', `127.0.0.1:${port}`, '--check', 'http:///health', ...quick);
    const waiting = await registration.logged('waiting');
    expect(waiting).toMatchObject({ check: `http://127.0.0.1:${port}/health`, service: 'web', id: 'a' });
    expect(waiting['reason']).toContain('ECONNREFUSED');

    const app = createServer((_, res) => res.end());
    await new Promise<void>((resolve) => app.listen(port, '127.0.0.1', resolve));
    onTestFinished(() => new Promise<void>((resolve) => app.close(() => resolve())));
    await registration.logged('announced');
    await until('the key stands', () => recorder.view.has('instances/web/a'));
    expect(registration.log.filter(({ event }) => event === 'waiting')).toHaveLength(1);
  });

  test('withdraws an unhealthy application and brings it back, under one lease', async () => {
    const { register, recorder, states, etcd } = await startRegistration(kind);
    const patient = await startPatient();
    const registration = register('a', patient.address, '--check', 'http:///', ...quick);
    await registration.logged('announced');
    const leases = await etcd?.ctl('lease', 'list');

    patient.well = false;
    const unhealthy = await registration.logged('unhealthy');
    expect(unhealthy).toMatchObject({ reason: 'status 503', failed: 2 });
    await recorder.sees('instances/web/a', undefined);
    expect(states()).toEqual(['ready', 'draining', 'deleted']);

    patient.well = true;
    await registration.logged('healthy');
    await until('it is back', () => states().at(-1) === 'ready');
    expect(states()).toEqual(['ready', 'draining', 'deleted', 'ready']);
    expect(await etcd?.ctl('lease', 'list')).toEqual(leases);
  });

  test('drains an unhealthy application instead, by choice', async () => {
    const { register, states } = await startRegistration(kind);
    const patient = await startPatient();
    const registration = register('a', patient.address, '--check', 'http:///', '--unhealthy', 'drain', ...quick);
    await registration.logged('announced');
    patient.well = false;
    await until('it drains', () => states().at(-1) === 'draining');
    patient.well = true;
    await until('it is back', () => states().at(-1) === 'ready');
    registration.kill('SIGTERM');
    expect((await registration.ended).code).toBe(0);
    await until('it is gone', () => states().at(-1) === 'deleted');
    expect(states()).toEqual(['ready', 'draining', 'ready', 'draining', 'deleted']);
  });
});

test('an application that falls ill while etcd is away is withdrawn when etcd is back', async () => {
  const { register, recorder, etcd } = await startRegistration('etcd');
  const patient = await startPatient();
  const registration = register('a', patient.address, '--check', 'http:///', ...quick, '--ttl', '60s');
  await registration.logged('announced');
  const [member] = etcd?.members ?? [];
  await member?.stop();
  patient.well = false;
  await registration.logged('unhealthy');
  await registration.logged('registry-disconnected');
  expect(recorder.view.has('instances/web/a')).toBe(true);
  member?.start();
  await etcd?.healthy();
  await recorder.sees('instances/web/a', undefined, 20_000);
  patient.well = true;
  await until('it is back', () => recorder.view.has('instances/web/a'));
});

test('a check that hangs is cut at its time-out, and there is never a second one beside it', async () => {
  const { register } = await startRegistration('folder');
  const patient = await startPatient();
  const timing = ['--check-interval', '100ms', '--check-timeout', '200ms', '--check-fall', '3'];
  const registration = register('a', patient.address, '--check', 'http:///', ...timing);
  await registration.logged('announced');
  patient.hangs = true;
  const { reason } = await registration.logged('unhealthy');
  expect(reason).toBe('no answer within 200 ms');
  const before = patient.asked;
  await until('it is asked on', () => patient.asked > before + 3);
  expect(patient.mostOpen).toBe(1);
  patient.hangs = false;
  await registration.logged('healthy');
});

describe('a command as a check', () => {
  test('passes with exit code 0, and its last word is the reason when it does not', async () => {
    const { register, dir } = await startRegistration('folder');
    const ready = join(dir, 'ready');
    const check = `cmd:test -f ${ready} || { echo not yet; echo still warming up >&2; exit 3; }`;
    const registration = register('a', '10.0.0.1:80', '--check', check, ...quick);
    expect((await registration.logged('waiting'))['reason']).toBe('exit code 3: still warming up');
    await writeFile(ready, '');
    await registration.logged('announced');
  });

  test('is killed with all it started when its time is up', async () => {
    const { register, dir } = await startRegistration('folder');
    const file = join(dir, 'pid');
    const check = `cmd:sleep 1000 & echo $! >> ${file}; sleep 1000`;
    const registration = register('a', '10.0.0.1:80', '--check', check, ...quick, '--check-timeout', '200ms');
    expect((await registration.logged('waiting'))['reason']).toMatch(/in time|within/);
    const pids = async () => (await readFile(file, 'utf8')).trim().split('\n').map(Number);
    const [first] = await pids();
    await until('the sleeper of the first check is gone', () => first !== undefined && !isAlive(first));
    registration.kill('SIGTERM');
    await registration.ended;
    const all = await pids();
    await until('all sleepers are gone', () => all.every((pid) => !isAlive(pid)));
  });
});

test('https is verified, unless it is asked not to be', async () => {
  const { register, dir } = await startRegistration('folder');
  const authority = await makeAuthority(join(dir, 'ca'));
  const { certFile, keyFile } = await authority.issue('app');
  const app = createHttps({ cert: await readFile(certFile), key: await readFile(keyFile) }, (_, res) => res.end());
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => app.close(() => resolve())));
  const address = `127.0.0.1:${(app.address() as AddressInfo).port}`;
  const strict = register('a', address, '--check', 'https://', ...quick);
  expect((await strict.logged('waiting'))['reason']).toMatch(/certificate/);
  await register('b', address, '--check', 'https+insecure://', ...quick).logged('announced');
});

test('a command that is started is announced when it accepts connections', async () => {
  const { register, recorder } = await startRegistration('folder');
  const port = await freePort();
  const code = `process.stdin.once('data', () => require('net').createServer().listen(${port}, '127.0.0.1'))`;
  const registration = register('a', `127.0.0.1:${port}`, ...quick, '--', process.execPath, '-e', code);
  expect(await registration.logged('waiting')).toMatchObject({ check: `tcp://127.0.0.1:${port}` });
  expect(recorder.view.has('instances/web/a')).toBe(false);
  registration.say('listen\n');
  await registration.logged('announced');
});
