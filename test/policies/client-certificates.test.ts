import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { type ClientRequest, request as plainRequest } from 'node:http';
import { connect as connectH2 } from 'node:http2';
import { Agent, type RequestOptions, request } from 'node:https';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { haproxyBin } from '../support/balancer.ts';
import { makeAuthority, makeRevocations } from '../support/certificates.ts';
import { startEcho } from '../support/echo.ts';
import { freePorts } from '../support/ports.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

type Identity = { readonly cert: Buffer; readonly key: Buffer; readonly files: readonly [string, string] };
type Answered = { readonly status: number; readonly body: string; readonly headers: Readonly<Record<string, string>> };

const hasQuic = (await execa(haproxyBin, ['-vv'])).stdout.includes(' +QUIC ');
const hosts = ['a.example.com', 'b.example.com', 'plain.example.com', 'maybe.example.com', 'new.example.com'];

async function start() {
  const scenario = await startScenario('folder');
  const [[https = 0], echo] = await Promise.all([freePorts(1), startEcho('echo')]);
  onTestFinished(() => echo.close());
  const [certificates, secrets] = [join(scenario.dir, 'certificates'), join(scenario.dir, 'secrets')];
  await Promise.all([mkdir(certificates), mkdir(secrets)]);
  const site = await makeAuthority(join(scenario.dir, 'site'));
  const served = await site.issue('site', 1, [...hosts, '*.wild.example.com']);
  await copyFile(served.certFile, join(certificates, 'site.crt'));
  await copyFile(served.keyFile, join(certificates, 'site.key'));
  const authority = async (name: string) => {
    const folder = join(scenario.dir, name);
    const made = await makeAuthority(folder);
    const identity = async (who: string, days = 1): Promise<Identity> => {
      const { certFile, keyFile } = await made.issue(who, days);
      return { cert: await readFile(certFile), key: await readFile(keyFile), files: [certFile, keyFile] };
    };
    return { ...made, ...(await makeRevocations(folder)), identity, text: await readFile(made.caFile, 'utf8') };
  };
  const renew = async () => {
    const renewed = await site.issue('renewed', 1, [...hosts, '*.wild.example.com']);
    await copyFile(renewed.keyFile, join(certificates, 'site.key'));
    await copyFile(renewed.certFile, join(certificates, 'site.crt'));
  };
  const write = async (name: string, text: string) => {
    await writeFile(join(scenario.dir, 'new-secret'), text);
    await rename(join(scenario.dir, 'new-secret'), join(secrets, name));
  };
  const writeService = async (name: string, policy: object) => {
    await scenario.writeByHand(`services/${name}`, JSON.stringify(policy));
    await scenario.writeByHand(`instances/${name}/x`, echo.address);
  };
  const balancer = async () => {
    const args = ['--https', `127.0.0.1:${https}`, '--certificates', certificates, '--secrets', secrets];
    if (hasQuic) args.push('--http3', 'on');
    const running = scenario.balancer('--haproxy', haproxyBin, ...args);
    await running.logged('serving');
    return running;
  };
  const ask = (host: string, who?: Identity, more: RequestOptions = {}): Promise<Answered> => {
    const { servername = host, headers, ...options } = more as RequestOptions & { servername?: string };
    const to = { port: https, host: '127.0.0.1', servername, rejectUnauthorized: false, agent: false as const };
    return answerOf(request({ ...to, cert: who?.cert, key: who?.key, ...options, headers: { host, ...headers } }));
  };
  const statusOf = async (host: string, who?: Identity) => (await ask(host, who).catch(() => undefined))?.status;
  const serves = (host: string, who: Identity) =>
    until(`${host} lets the client in`, async () => (await statusOf(host, who)) === 200, { deadlineMs: 20_000 });
  return { scenario, https, secrets, authority, renew, write, writeService, balancer, ask, statusOf, serves };
}

function answerOf(asked: ClientRequest): Promise<Answered> {
  return new Promise((resolve, reject) => {
    asked.on('error', reject).on('response', (response) => {
      let body = '';
      response.on('data', (part: Buffer) => (body += part.toString()));
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        const { headers } = status === 200 ? (JSON.parse(body) as Pick<Answered, 'headers'>) : { headers: {} };
        resolve({ status, body, headers });
      });
    });
    asked.end();
  });
}

const withCertificate = (ca: string, more: object = {}) => ({ auth: { certificate: { ca, ...more } } });

test('a client needs a certificate of the authorities of the service, on a connection for its host', async () => {
  const { scenario, https, authority, write, writeService, balancer, ask, serves } = await start();
  const [one, two] = await Promise.all([authority('one'), authority('two')]);
  const [ann, bob, late] = [await one.identity('ann'), await two.identity('bob'), await one.identity('late', 0)];
  await write('one.pem', one.text);
  await write('two.pem', two.text);
  const headers = {
    'X-Client': 'cn',
    'X-Client-Dn': 'dn',
    'X-Client-Serial': 'serial',
    'X-Client-Print': 'fingerprint',
  };
  await writeService('a', { hosts: ['a.example.com'], ...withCertificate('one.pem', { headers }) });
  await writeService('b', { hosts: ['b.example.com', '*.wild.example.com'], ...withCertificate('two.pem') });
  const optional = { required: false, headers: { 'X-Client': 'cn' } };
  await writeService('maybe', { hosts: ['maybe.example.com'], ...withCertificate('one.pem', optional) });
  await writeService('plain', { hosts: ['plain.example.com'] });
  await balancer();
  await serves('a.example.com', ann);
  await serves('b.example.com', bob);
  await serves('x.wild.example.com', bob);

  const spoofed = { 'X-Client': 'eve', x_client: 'eve', 'X.Client-Dn': 'eve', 'x-client-SERIAL': 'eve' };
  const told = await ask('a.example.com', ann, { headers: spoofed });
  expect(told.headers).toMatchObject({ 'x-client': 'ann', 'x-client-dn': 'CN=ann' });
  expect(told.headers['x-client-print']).toMatch(/^[0-9A-F]{64}$/);
  expect(told.headers['x-client-serial']).toMatch(/^[0-9A-F]+$/);
  expect(JSON.stringify(told.headers)).not.toContain('eve');

  expect(await ask('a.example.com')).toMatchObject({ status: 403, body: 'a client certificate is needed\n' });
  for (const who of [bob, late]) {
    expect(await ask('a.example.com', who)).toMatchObject({
      status: 403,
      body: expect.stringContaining('not valid') as string,
    });
  }
  expect((await ask('b.example.com', ann)).status).toBe(403);
  expect((await ask('y.wild.example.com', ann)).status).toBe(403);
  expect((await ask('plain.example.com')).status).toBe(200);

  const anonymous = await ask('maybe.example.com', undefined, { headers: { 'X-Client': 'eve' } });
  expect(anonymous.status).toBe(200);
  expect(anonymous.headers).not.toHaveProperty('x-client');
  expect((await ask('maybe.example.com', ann)).headers).toMatchObject({ 'x-client': 'ann' });
  expect((await ask('maybe.example.com', bob)).status).toBe(403);

  for (const servername of ['plain.example.com', 'b.example.com', 'maybe.example.com']) {
    for (const who of [undefined, ann, bob]) {
      expect((await ask('a.example.com', who, { servername } as RequestOptions)).status).toBe(421);
    }
  }
  const plain = plainRequest({
    ...{ port: scenario.http, host: '127.0.0.1', agent: false },
    headers: { host: 'a.example.com', 'x-forwarded-proto': 'https', 'x-client': 'ann' },
  });
  expect((await answerOf(plain)).status).toBe(403);

  const session = connectH2(`https://127.0.0.1:${https}`, {
    ...{ servername: 'plain.example.com', rejectUnauthorized: false, cert: ann.cert, key: ann.key },
  });
  onTestFinished(() => session.close());
  const statusOver2 = (host: string) =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': '/', ':authority': host });
      stream.on('response', (got) => resolve(got[':status'])).on('error', reject);
      stream.resume();
    });
  expect(await statusOver2('plain.example.com')).toBe(200);
  expect(await statusOver2('a.example.com')).toBe(421);
});

test('no session of TLS is resumed, so that a certificate is verified for each connection', async () => {
  const { scenario, https, authority, write, writeService, balancer, serves } = await start();
  const one = await authority('one');
  const ann = await one.identity('ann');
  await write('one.pem', one.text);
  await writeService('a', { hosts: ['a.example.com'], ...withCertificate('one.pem') });
  await balancer();
  await serves('a.example.com', ann);
  const session = join(scenario.dir, 'session');
  const [cert, key] = ann.files;
  for (const version of ['-tls1_2', '-tls1_3']) {
    const client = (servername: string, ...more: readonly string[]) =>
      execa('openssl', ['s_client', version, '-connect', `127.0.0.1:${https}`, '-servername', servername, ...more], {
        ...{
          input: `GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`,
          reject: false,
          timeout: 5000,
        },
      });
    const options = ['-cert', cert, '-key', key, '-ign_eof'];
    expect((await client('a.example.com', ...options, '-sess_out', session)).stdout).toContain('HTTP/1.1 200');
    const saved = await readFile(session).then(
      () => true,
      () => false,
    );
    if (!saved) continue;
    for (const name of ['a.example.com', 'b.example.com']) {
      expect((await client(name, '-ign_eof', '-sess_in', session)).stdout).not.toMatch(/^Reused/m);
    }
    await rm(session);
  }
});

test('other authorities and revoked certificates count after a reload, which no open connection outlives', async () => {
  const { authority, secrets, renew, write, writeService, balancer, ask, statusOf, serves, scenario } = await start();
  const [one, two] = await Promise.all([authority('one'), authority('two')]);
  const [ann, eve, bob] = [await one.identity('ann'), await one.identity('eve'), await two.identity('bob')];
  await write('ca.pem', one.text);
  await write('ca.crl', await one.list());
  await writeService('a', { hosts: ['a.example.com'], ...withCertificate('ca.pem', { crl: 'ca.crl' }) });
  const running = await balancer();
  await serves('a.example.com', ann);
  await serves('a.example.com', eve);
  const reloads = () => running.log.filter(({ event }) => event === 'reloaded').length;
  await until('the hosts are loaded', () => reloads() === 1);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  expect((await ask('a.example.com', eve, { agent })).status).toBe(200);

  await one.revoke(eve.files[0]);
  await write('ca.crl', await one.list());
  await until('HAProxy is reloaded, and its old worker knows it', () => reloads() === 2, { deadlineMs: 20_000 });
  const kept = await ask('a.example.com', eve, { agent }).catch(() => undefined);
  expect([undefined, 403, 421]).toContain(kept?.status);
  await until('the revoked certificate lets nobody in', async () => (await statusOf('a.example.com', eve)) === 403);
  expect(await statusOf('a.example.com', ann)).toBe(200);

  await renew();
  await running.logged('certificate-renewed');
  expect(await statusOf('a.example.com', ann)).toBe(200);
  expect(await statusOf('a.example.com', eve)).toBe(403);
  expect(await statusOf('a.example.com')).toBe(403);

  await writeService('new', { hosts: ['new.example.com'], ...withCertificate('two.pem') });
  await until('a service without its authorities answers 503', async () => {
    const status = await statusOf('new.example.com', bob);
    expect(status).not.toBe(200);
    return status === 503;
  });
  await running.logged('client-certificates-refused', ({ service }) => service === 'new');
  expect((await scenario.askAdmin('/explain/new/x')).body).toContain('two.pem');
  await write('two.pem', two.text);
  await serves('new.example.com', bob);
  expect(await statusOf('new.example.com', ann)).toBe(403);

  await write('ca.pem', two.text);
  await write('ca.crl', await two.list());
  await serves('a.example.com', bob);
  expect(await statusOf('a.example.com', ann)).toBe(403);

  await write('ca.crl', '-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n');
  await until('a bad list lets nobody in', async () => (await statusOf('a.example.com', bob)) === 503);
  expect(await statusOf('new.example.com', bob)).toBe(200);
  await rm(join(secrets, 'two.pem'));
  await until('deleted authorities let nobody in', async () => (await statusOf('new.example.com', bob)) === 503);
});

test('of two services on a host with other authorities, only the first one lets clients in', async () => {
  const { authority, write, writeService, balancer, ask, serves, scenario } = await start();
  const [one, two] = await Promise.all([authority('one'), authority('two')]);
  const [ann, bob] = [await one.identity('ann'), await two.identity('bob')];
  await write('one.pem', one.text);
  await write('two.pem', two.text);
  await writeService('a', { hosts: ['a.example.com'], ...withCertificate('one.pem') });
  await balancer();
  await serves('a.example.com', ann);
  await writeService('young', { hosts: ['a.example.com'], paths: ['/young'], ...withCertificate('two.pem') });
  const status = async (who: Identity) => (await ask('a.example.com', who, { path: '/young' })).status;
  await until('the younger service refuses', async () => (await status(ann)) === 503);
  expect(await status(bob)).toBe(503);
  await until('explain says why', async () =>
    (await scenario.askAdmin('/explain/young/x')).body.includes('as a wants'),
  );
  await serves('a.example.com', ann);
});
