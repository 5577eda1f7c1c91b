import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { Agent, get } from 'node:https';
import { join } from 'node:path';
import { connect, type PeerCertificate } from 'node:tls';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { startApps } from './support/app.ts';
import { freePorts } from './support/ports.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

/** Writes certificate and key for a name into one file, by a rename as a renewal does. */
async function issue(folder: string, name: string, days = 2): Promise<void> {
  const [cert, key] = [join(folder, 'new.cert'), join(folder, 'new.key-part')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-days', String(days)];
  await execa('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, ...subject]);
  await execa('sh', ['-c', `cat ${cert} ${key} > ${folder}/new.part`]);
  await rename(join(folder, 'new.part'), join(folder, `${name}.pem`));
}

/** The certificate that is given to one who asks for this name; undefined when the handshake is refused. */
function certificateFor(port: number, servername: string): Promise<PeerCertificate | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on('error', () => resolve(undefined)).setTimeout(5000, () => socket.destroy(new Error('no handshake')));
  });
}

/** One request over HTTP/2. */
function askHttp2(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`https://${host}:${port}`, {
      createConnection: () =>
        connect({ port, host: '127.0.0.1', servername: host, rejectUnauthorized: false, ALPNProtocols: ['h2'] }),
    });
    session.on('error', reject).setTimeout(10_000, () => session.destroy(new Error('no answer')));
    const stream = session.request({ ':path': '/', ':authority': host });
    let body = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    stream.on('error', reject).on('end', () => {
      session.close();
      resolve(body);
    });
  });
}

test('certificates are served by name, and added, renewed and removed without a reload', async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  const folder = join(scenario.dir, 'certificates');
  await mkdir(folder);
  await issue(folder, 'shop.example.com');
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('services/web', JSON.stringify({ hosts: ['*'] }));
  const [https = 0] = await freePorts(1);
  const balancer = scenario.balancer('--https', `127.0.0.1:${https}`, '--certificates', folder);
  await balancer.logged('serving');
  const served = async (name: string) => (await certificateFor(https, name))?.subject.CN;

  expect(await served('shop.example.com')).toBe('shop.example.com');
  expect(await served('blog.example.com')).toBeUndefined();
  await until('the application answers over HTTP/2', async () => (await askHttp2(https, 'shop.example.com')) === 'a');

  await issue(folder, 'blog.example.com');
  await until('the new one is served', async () => (await served('blog.example.com')) === 'blog.example.com');

  const before = (await certificateFor(https, 'shop.example.com'))?.fingerprint;
  await issue(folder, 'shop.example.com', 3);
  await until(
    'it is renewed',
    async () => ![undefined, before].includes((await certificateFor(https, 'shop.example.com'))?.fingerprint),
  );
  await balancer.logged('certificate-renewed');

  await writeFile(
    join(folder, 'shop.example.com.pem'),
    '-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n',
  );
  await balancer.logged('certificate-refused');
  expect(await served('shop.example.com')).toBe('shop.example.com');

  await rm(join(folder, 'blog.example.com.pem'));
  await until('it is not served any more', async () => (await served('blog.example.com')) === undefined);
  expect((await scenario.askAdmin('/metrics')).body).toMatch(
    /pointsman_certificate_expiry_timestamp_seconds\{certificate="shop.example.com"\} 1\d{9}/,
  );
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);

  // The next start serves what the folder has then.
  balancer.kill('SIGTERM');
  await balancer.ended;
  await issue(folder, 'shop.example.com', 4);
  await scenario.balancer('--https', `127.0.0.1:${https}`, '--certificates', folder).logged('serving');
  expect(await served('shop.example.com')).toBe('shop.example.com');
});

/** A client of HTTP/1.1 with TLS that keeps its connection. */
function keepAlive(port: number, servername: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  onTestFinished(() => agent.destroy());
  return () =>
    new Promise<string>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, servername, agent, headers: { host: servername } };
      const asked = get(options, (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        answer.once('end', () => resolve(`${answer.statusCode} ${body}`));
      });
      asked.once('error', reject);
    });
}

/** A client of HTTP/2 with TLS that keeps its session until it is told that the session ends. */
function keepSession(port: number, servername: string) {
  const open = () =>
    connectHttp2(`https://${servername}:${port}`, {
      createConnection: () =>
        connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false, ALPNProtocols: ['h2'] }),
    });
  let session = open();
  onTestFinished(() => session.destroy());
  return () =>
    new Promise<string>((resolve, reject) => {
      if (session.closed || session.destroyed) session = open();
      const stream = session.request({ ':path': '/', ':authority': servername });
      let [status, body] = [0, ''];
      stream.on('response', (headers) => {
        status = headers[':status'] ?? 0;
      });
      stream.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      stream.on('error', reject).on('end', () => resolve(`${status} ${body}`));
    });
}

test('a worker that replaces another serves the same certificates, and the next requests of clients that were idle', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  const folder = join(scenario.dir, 'certificates');
  await mkdir(folder);
  await scenario.writeByHand('instances/web/a', a);
  await scenario.writeByHand('services/web', JSON.stringify({ hosts: ['*'] }));
  const [https = 0] = await freePorts(1);
  const balancer = scenario.balancer('--https', `127.0.0.1:${https}`, '--certificates', folder);
  await balancer.logged('serving');
  await issue(folder, 'shop.example.com');
  const served = async () => (await certificateFor(https, 'shop.example.com'))?.subject.CN === 'shop.example.com';
  await until('it is served', served);
  const clients = [keepAlive, keepSession].map((open) => open(https, 'shop.example.com'));
  for (const ask of clients) expect(await ask()).toBe('200 a');
  await scenario.writeByHand('services/web', JSON.stringify({ hosts: ['*'], balance: 'leastconn' }));
  await balancer.logged('reloaded');
  await until('the new worker serves it, too', served);
  await scenario.writeByHand('instances/web/b', b);
  await rm(join(scenario.dir, 'registry/instances/web/a'));
  await scenario.serves('web', ['b']);
  for (const ask of clients) expect(await ask()).toBe('200 b');
});
