import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { haproxyBin } from '../support/balancer.ts';
import { makeAuthority } from '../support/certificates.ts';
import type { LogLine } from '../support/processes.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

/** A server that answers with the name in the certificate of the one who asks. */
async function startServer(tls: { readonly cert: Buffer; readonly key: Buffer }): Promise<string> {
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    // A session that is resumed stays that of the one who began it, whatever certificate it has by now: none is.
    server.setTicketKeys(randomBytes(48));
    const { CN } = (request.socket as TLSSocket).getPeerCertificate().subject;
    response.writeHead(200, { Connection: 'close' }).end(String(CN));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

test('files for TLS to servers are used as they are, without a reload where HAProxy takes them', async () => {
  const scenario = await startScenario('folder');
  const path = (name: string) => join(scenario.dir, name);
  const [ours, theirs] = await Promise.all([makeAuthority(path('ours')), makeAuthority(path('theirs'))]);
  const { certFile, keyFile } = await ours.issue('server', 1, ['web.internal']);
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  await mkdir(path('pem'));
  const show = async (name: string) => {
    const own = await ours.issue(name);
    const pem = await Promise.all([readFile(own.certFile, 'utf8'), readFile(own.keyFile, 'utf8')]);
    await writeFile(path('pem/own.pem'), pem.join('# and its key\n'));
  };
  await show('first');
  await copyFile(ours.caFile, path('pem/ca.pem'));
  const tls = { ca: 'ca.pem', name: 'web.internal', certificate: 'own.pem' };
  const policy = { check: { kind: 'none' }, retries: { count: 0 }, tls };
  await scenario.writeByHand('services/web', JSON.stringify(policy));
  const server = await startServer({ cert, key });
  await scenario.writeByHand('instances/web/a', server);
  const balancer = scenario.balancer('--haproxy', haproxyBin, '--server-tls', path('pem'));
  await balancer.logged('serving');
  const ask = async () => {
    const { status, body } = await scenario.ask('web');
    return status === 200 ? body : status;
  };
  const forFile = (name: string) => (line: LogLine) => JSON.stringify(line['reasons']).includes(`${name} changed`);
  const reloads = () => balancer.log.filter(({ event }) => event === 'reloaded').length;
  expect(await ask()).toBe('first');

  await show('second');
  await until('the other certificate is shown', async () => (await ask()) === 'second');
  await copyFile(theirs.caFile, path('pem/ca.pem'));
  await until('the server is trusted no more', async () => (await ask()) === 503);
  await copyFile(ours.caFile, path('pem/ca.pem'));
  await until('it is trusted again', async () => (await ask()) === 'second');
  await writeFile(path('pem/ca.pem'), 'rubbish');
  await balancer.logged('server-tls-refused', ({ name }) => name === 'ca.pem');
  expect(await ask()).toBe('second');
  expect(reloads()).toBe(0);

  // A service whose file is not there is held until it comes.
  await copyFile(ours.caFile, path('pem/ca.pem'));
  await scenario.writeByHand('services/late', JSON.stringify({ ...policy, tls: { ...tls, ca: 'late.pem' } }));
  await scenario.writeByHand('instances/late/a', server);
  await balancer.logged('quarantined');
  await copyFile(ours.caFile, path('pem/late.pem'));
  await until('it is served', async () => (await scenario.ask('late')).body === 'second');

  // More than HAProxy takes in one command.
  await writeFile(path('pem/ca.pem'), (await readFile(theirs.caFile, 'utf8')).repeat(50));
  await until('it is trusted no more', async () => (await ask()) === 503);
  await balancer.logged('reloaded', forFile('ca.pem'));

  // An HAProxy that was given authorities while it ran does not use what it is given of certificates.
  await copyFile(ours.caFile, path('pem/ca.pem'));
  await until('it is trusted again', async () => (await ask()) === 'second');
  await show('third');
  await until('the third certificate is shown', async () => (await ask()) === 'third');
  await balancer.logged('reloaded', forFile('own.pem'));
});
