import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formatUser, storePassword } from '../../src/model/secret/users.ts';
import { startApps } from '../support/app.ts';
import { exchange } from '../support/ask.ts';
import { haproxyBin } from '../support/balancer.ts';
import { makeAuthority } from '../support/certificates.ts';
import { startScenario } from '../support/scenario.ts';
import { makeSigner, type Signer } from '../support/tokens.ts';
import { until } from '../support/until.ts';

async function start() {
  const scenario = await startScenario('folder');
  const [app = ''] = await startApps('a');
  const folder = join(scenario.dir, 'secrets');
  await mkdir(folder);
  /** Replaces a file as an editor does. */
  const write = async (name: string, text: string) => {
    await writeFile(join(scenario.dir, 'new-secret'), text);
    await rename(join(scenario.dir, 'new-secret'), join(folder, name));
  };
  const writeService = async (name: string, auth: object) => {
    await scenario.writeByHand(`instances/${name}/a`, app);
    await scenario.writeByHand(`services/${name}`, JSON.stringify({ auth }));
  };
  const balancer = async () => {
    const running = scenario.balancer('--haproxy', haproxyBin, '--secrets', folder);
    await running.logged('serving');
    const ask = async (host: string, authorization: string) =>
      (await exchange(scenario.http, { host, headers: { authorization } })).status;
    return { running, ask, reloads: () => running.log.filter(({ event }) => event === 'reloaded').length };
  };
  return { scenario, folder, write, writeService, balancer };
}

const user = (name: string, password: string) => formatUser(name, storePassword(password, 'saltsalt'));
const basic = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

test('users are added, changed and removed without a reload, and a bad file changes nothing', async () => {
  const { scenario, folder, write, writeService, balancer } = await start();
  await write('shop', `${user('ada', 'one')}\n`);
  await writeService('web', { basic: { users: 'shop' } });
  await writeService('late', { basic: { users: 'late' } });
  const { running, ask, reloads } = await balancer();
  expect(await ask('web', basic('ada', 'one'))).toBe(200);
  expect(await ask('late', basic('ada', 'one'))).toBe(503);
  expect((await scenario.askAdmin('/explain/late/a')).body).toContain('requests are answered with 503');
  await running.logged(
    'secret-refused',
    ({ name, reason }) => name === 'late' && String(reason).includes('no such file'),
  );

  await write('shop', `${user('ada', 'two')}\n${user('bob', 'b')}\n`);
  await until('the other password counts', async () => (await ask('web', basic('ada', 'two'))) === 200);
  expect(await ask('web', basic('ada', 'one'))).toBe(401);
  expect(await ask('web', basic('bob', 'b'))).toBe(200);

  await write('shop', `${user('bob', 'b')}\n`);
  await until('ada is not let in any more', async () => (await ask('web', basic('ada', 'two'))) === 401);
  expect(await ask('web', basic('bob', 'b'))).toBe(200);

  await write('shop', 'bob:$2y$05$abcdefghijklmnopqrstuv\n');
  await running.logged('secret-refused', ({ reason }) => String(reason).includes('bcrypt'));
  expect(await ask('web', basic('bob', 'b'))).toBe(200);

  await write('late', `${user('ada', 'one')}\n`);
  await until('the users of the other service are known', async () => (await ask('late', basic('ada', 'one'))) === 200);

  await rm(join(folder, 'shop'));
  await until('without the file nobody is let in', async () => (await ask('web', basic('bob', 'b'))) === 503);
  expect(reloads()).toBe(0);
  const log = JSON.stringify(running.log);
  for (const secret of ['saltsalt', '$2y$', storePassword('b', 'saltsalt').digest]) expect(log).not.toContain(secret);
});

test('keys of tokens change by one reload, and a key that was removed counts no more at once', async () => {
  const { write, writeService, balancer } = await start();
  const set = (...signers: readonly Signer[]) => JSON.stringify({ keys: signers.map(({ jwk }) => jwk) });
  const [first, second] = [makeSigner('ES256', 'one'), makeSigner('ES256', 'two')];
  await write('issuer.json', set(first));
  await writeService('web', { jwt: { algorithm: 'ES256', keys: 'issuer.json' } });
  const { running, ask, reloads } = await balancer();
  const token = ({ token }: Signer) => `Bearer ${token({ exp: Math.floor(Date.now() / 1000) + 600 })}`;
  const tokens = [token(first), token(second)] as const;
  expect(await ask('web', tokens[0])).toBe(200);
  expect(await ask('web', tokens[1])).toBe(401);
  expect(reloads()).toBe(0);

  await write('issuer.json', set(first, second));
  await until('the second key counts', async () => (await ask('web', tokens[1])) === 200);
  expect(await ask('web', tokens[0])).toBe(200);
  await running.logged('reloaded');

  await write('issuer.json', set(second));
  await until('the first key counts no more', async () => (await ask('web', tokens[0])) === 401);
  expect(await ask('web', tokens[1])).toBe(200);
  expect(reloads()).toBe(1);

  // The file of the first key gets the third one, whose id is the same. Until HAProxy has read it, no token with this id is good.
  const third = makeSigner('ES256', 'one');
  await write('issuer.json', set(second, third));
  await until('the third key counts', async () => (await ask('web', token(third))) === 200);
  expect(await ask('web', tokens[0])).toBe(401);
});

test('keys are fetched from an address and followed, and the last ones count while the issuer is away', async () => {
  const { scenario, folder, write, writeService, balancer } = await start();
  const authority = await makeAuthority(join(scenario.dir, 'authority'));
  const { certFile, keyFile } = await authority.issue('issuer', 1, ['localhost']);
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  const [first, second] = [makeSigner('ES256', 'one'), makeSigner('ES256', 'two')];
  let answer: { readonly status: number; readonly text: string } = { status: 500, text: 'sorry' };
  const server = createServer({ cert, key }, (_, response) => response.writeHead(answer.status).end(answer.text));
  await new Promise<void>((started) => server.listen(0, '127.0.0.1', started));
  const address = server.address();
  onTestFinished(() => void server.close());
  const port = typeof address === 'object' ? address?.port : 0;
  await copyFile(authority.caFile, join(folder, 'ca.pem'));
  await write('issuer.json', JSON.stringify({ jwks: `https://localhost:${port}/keys`, ca: 'ca.pem', interval: '1s' }));
  await writeService('web', { jwt: { algorithm: 'ES256', keys: 'issuer.json' } });
  const { running, ask } = await balancer();
  const token = ({ token }: Signer) => `Bearer ${token({ exp: Math.floor(Date.now() / 1000) + 600 })}`;
  await running.logged('secret-refused', ({ reason }) => String(reason).includes('the server answered 500'));
  expect(await ask('web', token(first))).toBe(503);

  const secret = { kty: 'oct', kid: 'shared', k: Buffer.alloc(32, 1).toString('base64url') };
  answer = { status: 200, text: JSON.stringify({ keys: [first.jwk, secret] }) };
  await until('the first key counts', async () => (await ask('web', token(first))) === 200);
  answer = { status: 200, text: JSON.stringify({ keys: [first.jwk, second.jwk] }) };
  await until('the second key counts', async () => (await ask('web', token(second))) === 200);
  answer = { status: 200, text: '{"keys":[]}' };
  await running.logged('secret-refused', ({ reason }) => String(reason).includes('its last good content counts'));
  expect(await ask('web', token(first))).toBe(200);
  server.closeAllConnections();
  server.close();
  running.kill('SIGTERM');
  await running.ended;
  const again = await balancer();
  expect(await again.ask('web', token(second))).toBe(200);
});
