import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { formatUser, storePassword } from '../../src/model/secret/users.ts';
import { askEcho, startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { askRaw } from '../support/raw-request.ts';

const closing: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

const folder = await mkdtemp(join(tmpdir(), 'pm-secrets-'));
closing.push(() => rm(folder, { recursive: true }));
const password = 'pass:word "é" %[src]';

const served = serveAll(
  async () => {
    const lines = [
      formatUser('ada', storePassword(password, 'saltsalt')),
      formatUser('bob', storePassword('b', 'saltsalt')),
    ];
    await writeFile(join(folder, 'shop.users'), `# who may order\n\n${lines.join('\n')}\n`);
    await writeFile(join(folder, 'other.users'), `${formatUser('eve', storePassword('e', 'saltsalt'))}\n`);
    await writeFile(join(folder, 'apache.users'), 'ada:$2y$05$abcdefghijklmnopqrstuv\n');
    const echo = await startEcho('echo');
    closing.push(echo.close);
    const instances = { a: echo.address };
    const basic = (more: object) => ({ policy: { auth: { basic: { users: 'shop.users', ...more } } }, instances });
    return {
      open: { instances },
      shop: basic({}),
      dressed: basic({ userHeader: 'X-Forwarded-User', forwardCredentials: true, realm: 'The shop' }),
      missing: basic({ users: 'missing.users' }),
      apache: basic({ users: 'apache.users' }),
      redirecting: { policy: { https: 'redirect', auth: { basic: { users: 'shop.users' } } }, instances },
    };
  },
  () => ({ secrets: folder }),
);
const { ask } = served;

const as = (user: string, secret: string) => ({
  headers: { authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}` },
});

describe('basic authentication', () => {
  test('lets users in by their passwords, and answers 401 to everybody else', async () => {
    const status = async (user: string, secret: string) => (await ask('shop', as(user, secret))).status;
    expect(await status('ada', password)).toBe(200);
    expect(await status('bob', 'b')).toBe(200);
    expect(await status('ada', 'b')).toBe(401);
    expect(await status('eve', 'e')).toBe(401);
    expect(await status('', '')).toBe(401);
    expect(await status('../other.users/eve', 'e')).toBe(401);
    expect((await ask('shop', { headers: { authorization: 'Bearer x' } })).status).toBe(401);
    const { status: none, headers } = await ask('shop');
    expect({ none, asks: headers['www-authenticate'] }).toEqual({
      none: 401,
      asks: 'Basic realm="restricted", charset="UTF-8"',
    });
    const lines = ['Host: dressed', `Authorization: ${as('ada', password).headers.authorization}`];
    expect((await askRaw(served.balancer.port, '/', lines)).status).toBe(200);
    expect((await askRaw(served.balancer.port, '/', [...lines, 'Authorization: Basic eDp5'])).status).toBe(400);
    expect((await ask('open')).status).toBe(200);
  });

  test('refuses a header that applications read in several ways, and a password with a NUL', async () => {
    const { authorization } = as('ada', password).headers;
    const status = async (text: string) => (await ask('dressed', { headers: { authorization: text } })).status;
    expect(await status(authorization.replace(' ', '  '))).toBe(200);
    expect(await status(`${authorization}, Basic eDp5`)).toBe(400);
    expect(await status(`${authorization} eDp5`)).toBe(400);
    expect((await ask('dressed', as('ada', `${password}\0zz`))).status).toBe(400);
    expect((await ask('dressed', as('ada', `${password}\0${'z'.repeat(6000)}`))).status).toBe(400);
    expect((await ask('dressed', as('ada\0zz', password))).status).toBe(400);
    expect((await ask('dressed', as('ada', '0 00'))).status).toBe(401);
  });

  test('keeps the password from the application, unless the policy forwards it', async () => {
    const { port } = served.balancer;
    expect((await askEcho(port, { host: 'shop', ...as('ada', password) })).headers).not.toHaveProperty('authorization');
    const dressed = await askEcho(port, { host: 'dressed', ...as('ada', password) });
    expect(dressed.headers['authorization']).toBe(as('ada', password).headers.authorization);
    expect((await ask('dressed')).headers['www-authenticate']).toBe('Basic realm="The shop", charset="UTF-8"');
  });

  test('tells the application who the user is, in a header that no client can set', async () => {
    const { headers } = await askEcho(served.balancer.port, {
      host: 'dressed',
      headers: {
        ...as('ada', password).headers,
        'X-Forwarded-User': 'root',
        X_Forwarded_User: 'root',
        'x.forwarded-user': 'root',
      },
    });
    expect(Object.entries(headers).filter(([name]) => name.includes('user'))).toEqual([['x-forwarded-user', 'ada']]);
  });

  test('answers 503 while its users are not known', async () => {
    expect((await ask('missing', as('ada', password))).status).toBe(503);
    expect((await ask('apache', as('ada', password))).status).toBe(503);
  });

  test('asks for no password without TLS where the policy redirects', async () => {
    expect((await ask('redirecting')).status).toBe(308);
  });
});
