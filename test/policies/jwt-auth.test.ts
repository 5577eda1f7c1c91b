import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { askEcho, startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { askRaw } from '../support/raw-request.ts';
import { makeSigner, sharedToken } from '../support/tokens.ts';

const closing: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

const folder = await mkdtemp(join(tmpdir(), 'pm-secrets-'));
closing.push(() => rm(folder, { recursive: true }));

const rsa = makeSigner('RS256', 'rsa-1');
const otherRsa = makeSigner('RS256', 'rsa-2');
const stranger = makeSigner('RS256', 'rsa-1');
const ec = makeSigner('ES256', 'ec-1');
const pss = makeSigner('PS256', 'pss-1');
const shared = Buffer.alloc(32, 7);

const served = serveAll(
  async () => {
    const oct = { kty: 'oct', kid: 'oct-1', k: shared.toString('base64url') };
    await writeFile(join(folder, 'set.json'), JSON.stringify({ keys: [rsa, otherRsa, ec, pss].map(({ jwk }) => jwk) }));
    await writeFile(join(folder, 'shared.json'), JSON.stringify({ keys: [oct] }));
    await writeFile(join(folder, 'ec.pem'), ec.pem);
    const echo = await startEcho('echo');
    closing.push(echo.close);
    const instances = { a: echo.address };
    const jwt = (more: object) => ({
      policy: { auth: { jwt: { algorithm: 'RS256', keys: 'set.json', ...more } } },
      instances,
    });
    return {
      plain: jwt({}),
      es: jwt({ algorithm: 'ES256' }),
      ps: jwt({ algorithm: 'PS256' }),
      hs: jwt({ algorithm: 'HS256', keys: 'shared.json' }),
      pem: jwt({ algorithm: 'ES256', keys: 'ec.pem' }),
      named: jwt({ headers: { 'X-User': 'sub', 'X-Team': 'org.team' } }),
      strict: jwt({
        issuer: 'https://login.example.com/',
        audience: ['shop', 'api'],
        leeway: '30s',
        claims: { 'realm_access.roles': ['admin', 'owner'], tenant: 'a' },
        headers: { 'X-User': 'sub', 'X-Mail': 'email' },
      }),
      cookie: jwt({ cookie: 'token' }),
      hidden: jwt({ forwardCredentials: false }),
      missing: jwt({ keys: 'missing.json' }),
    };
  },
  () => ({ secrets: folder }),
);
const { ask } = served;

const now = () => Math.floor(Date.now() / 1000);
const good = (more: object = {}) => ({ sub: 'ada', exp: now() + 600, ...more });
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const status = async (host: string, token: string) => (await ask(host, bearer(token))).status;

describe('a JWT', () => {
  test('lets requests in with the signature of a key of the file, the second time as the first', async () => {
    for (let i = 0; i < 2; i += 1) {
      expect(await status('plain', rsa.token(good()))).toBe(200);
      expect(await status('plain', otherRsa.token(good()))).toBe(200);
      expect(await status('es', ec.token(good()))).toBe(200);
      expect(await status('hs', sharedToken(shared, good(), { alg: 'HS256', kid: 'oct-1' }))).toBe(200);
      expect(await status('hs', sharedToken(shared, good(), { alg: 'HS256' }))).toBe(200);
      expect(await status('pem', ec.token(good(), { kid: undefined }))).toBe(200);
    }
  });

  test('with RSA-PSS is verified, or refused by an HAProxy that cannot', async () => {
    const [version = ''] = await served.balancer.command('show version');
    expect(await status('ps', pss.token(good()))).toBe(version.startsWith('2.') ? 503 : 200);
  });

  test('of somebody else, or changed, is answered with 401', async () => {
    expect(await status('plain', stranger.token(good()))).toBe(401);
    const token = rsa.token(good());
    expect(await status('plain', token)).toBe(200);
    const [head, , signature] = token.split('.');
    const forged = Buffer.from(JSON.stringify(good({ sub: 'root' }))).toString('base64url');
    expect(await status('plain', `${head}.${forged}.${signature}`)).toBe(401);
    expect(await status('plain', `${head}.${forged}.`)).toBe(401);
    expect(await status('plain', 'rubbish')).toBe(401);
    const { status: none, headers } = await ask('plain');
    expect({ none, asks: headers['www-authenticate'] }).toEqual({ none: 401, asks: 'Bearer' });
  });

  test('cannot choose its algorithm', async () => {
    const none = `${Buffer.from('{"alg":"none","kid":"rsa-1"}').toString('base64url')}.${rsa.token(good()).split('.')[1]}.`;
    expect(await status('plain', none)).toBe(401);
    // The public key as a shared secret.
    expect(await status('plain', sharedToken(rsa.pem, good(), { alg: 'HS256', kid: 'rsa-1' }))).toBe(401);
    expect(await status('plain', sharedToken(rsa.pem, good(), { alg: 'RS256', kid: 'rsa-1' }))).toBe(401);
    expect(await status('hs', sharedToken(rsa.pem, good(), { alg: 'HS256', kid: 'rsa-1' }))).toBe(401);
    expect(await status('hs', rsa.token(good()))).toBe(401);
    expect(await status('plain', ec.token(good()))).toBe(401);
    expect(await status('plain', rsa.token(good(), { alg: 'RS512' }))).toBe(401);
  });

  test('counts only in its time', async () => {
    expect(await status('plain', rsa.token({ sub: 'ada' }))).toBe(401);
    expect(await status('plain', rsa.token(good({ exp: now() - 5 })))).toBe(401);
    expect(await status('plain', rsa.token(good({ exp: 'never' })))).toBe(401);
    expect(await status('plain', rsa.token(good({ nbf: now() + 60 })))).toBe(401);
    expect(await status('plain', rsa.token(good({ nbf: now() - 60 })))).toBe(200);
  });

  test('needs the issuer, the audience and the claims of the policy', async () => {
    const claims = {
      iss: 'https://login.example.com/',
      aud: 'shop',
      tenant: 'a',
      realm_access: { roles: ['x', 'admin'] },
    };
    const of = (more: object) => status('strict', rsa.token(good({ ...claims, ...more })));
    expect(await of({})).toBe(200);
    expect(await of({ aud: ['else', 'api'] })).toBe(200);
    expect(await of({ exp: now() - 10, nbf: now() + 10 })).toBe(200);
    expect(await of({ exp: now() - 60 })).toBe(401);
    expect(await of({ iss: 'https://login.example.com' })).toBe(401);
    expect(await of({ aud: undefined })).toBe(401);
    expect(await of({ aud: 'shopping' })).toBe(401);
    expect(await of({ realm_access: { roles: ['x'] } })).toBe(403);
    expect(await of({ realm_access: { roles: 'owner' } })).toBe(200);
    expect(await of({ tenant: 'b' })).toBe(403);
    expect(await of({ tenant: undefined })).toBe(403);
  });

  test('gives its claims to the application in headers that no client can set', async () => {
    const claims = { iss: 'https://login.example.com/', aud: 'shop', tenant: 'a', realm_access: { roles: ['admin'] } };
    const asking = (more: object) => ({
      host: 'strict',
      headers: {
        ...bearer(rsa.token(good({ ...claims, ...more }))).headers,
        'X-Mail': 'root@example.com',
        X_User: 'root',
      },
    });
    const { port } = served.balancer;
    const { headers } = await askEcho(port, asking({ email: 'ada@example.com' }));
    expect({ user: headers['x-user'], mail: headers['x-mail'] }).toEqual({ user: 'ada', mail: 'ada@example.com' });
    expect(headers).not.toHaveProperty('x_user');
    expect((await askEcho(port, asking({}))).headers).not.toHaveProperty('x-mail');
    expect((await ask('strict', asking({ email: 'a\r\nX-Admin: 1' }))).status).toBe(403);
  });

  test('may be in a cookie, and the application gets the token unless the policy keeps it', async () => {
    const token = rsa.token(good());
    expect((await ask('cookie', { headers: { cookie: `a=b; token=${token}` } })).status).toBe(200);
    expect(await status('cookie', token)).toBe(401);
    const { port } = served.balancer;
    expect((await askEcho(port, { host: 'plain', ...bearer(token) })).headers).toHaveProperty('authorization');
    expect((await askEcho(port, { host: 'hidden', ...bearer(token) })).headers).not.toHaveProperty('authorization');
  });

  test('is refused next to another one, which the application might read', async () => {
    const { port } = served.balancer;
    const token = rsa.token(good());
    const lines = [`Host: plain`, `Authorization: Bearer ${token}`];
    expect((await askRaw(port, '/', lines)).status).toBe(200);
    expect((await askRaw(port, '/', [...lines, 'Authorization: Bearer forged'])).status).toBe(400);
    expect((await ask('cookie', { headers: { cookie: `token=${token}; token=forged` } })).status).toBe(400);
  });

  test('is refused if it is in a line that applications read in several ways', async () => {
    const token = rsa.token(good());
    const authorized = async (authorization: string) => (await ask('plain', { headers: { authorization } })).status;
    expect(await authorized(`Bearer  ${token}`)).toBe(200);
    expect(await authorized(`Bearer ${token}, Bearer forged`)).toBe(400);
    expect(await authorized(`Bearer ${token},Bearer forged`)).toBe(400);
    expect(await authorized(`Bearer ${token} forged`)).toBe(400);
    // HAProxy takes no comma within quotes for the end of a value.
    expect(await authorized(`Bearer ${token}", Bearer forged"`)).toBe(400);
    expect(await authorized(`Bearer "${token}, Bearer forged"`)).toBe(400);
    const withCookie = async (cookie: string) => (await ask('cookie', { headers: { cookie } })).status;
    expect(await withCookie(`a=b; token=${token}; mytoken=c; token2=d`)).toBe(200);
    expect(await withCookie(`x="; token=forged; "; token=${token}`)).toBe(400);
    expect(await withCookie(`x=1 token=forged; token=${token}`)).toBe(400);
    expect(await withCookie(`x=1, token=forged; token=${token}`)).toBe(400);
    expect(await withCookie(`token=${token}; x=1,token=forged`)).toBe(400);
  });

  test('is refused if its times are not plain numbers of seconds', async () => {
    const at = now() + 600;
    const of = async (text: string) => [text, await status('plain', rsa.token(text))];
    for (const text of [
      ...[`{"exp":-1}`, `{"exp":"${at}"}`, `{"exp":1.9e10}`, `{"exp":1e400}`, `{"exp":true}`, `{"exp":[${at}]}`],
      ...[`{"exp":{}}`, `{"exp":9999999999999}`, `{"exp":99999999999999999999}`, `{"exp":null}`],
      ...['-5', '99999999999999999', '9.9e12', '9.9e11', '{}', '[]', 'true', '"1"'].map(
        (nbf) => `{"exp":${at},"nbf": ${nbf}}`,
      ),
    ]) {
      expect(await of(text)).toEqual([text, 401]);
    }
    for (const text of [`{"exp":${at}}`, `{"exp" : ${at}.5,"nbf":1700000000.25}`, `{"exp":32503680000,"nbf":0}`]) {
      expect(await of(text)).toEqual([text, 200]);
    }
  });

  test('gives only texts and whole numbers to the application, exactly as they are', async () => {
    const { port } = served.balancer;
    const user = async (more: object) =>
      (await askEcho(port, { host: 'named', ...bearer(rsa.token(good(more))) })).headers['x-user'];
    expect(await user({ sub: 1234567 })).toBe('1234567');
    expect(await user({ sub: 1234568 })).toBe('1234568');
    expect(await user({ sub: 999999999999999 })).toBe('999999999999999');
    expect(await user({ sub: 0 })).toBe('0');
    expect(await user({ sub: 'true' })).toBe('true');
    expect(await user({ sub: '00000001' })).toBe('00000001');
    expect(await user({ sub: 'Ada Lovelace, x="{1}" é' })).toBe(
      Buffer.from('Ada Lovelace, x="{1}" é').toString('latin1'),
    );
    expect(await user({ sub: undefined, act: { sub: 'eve' } })).toBeUndefined();

    const refused = [
      '',
      ' ada',
      'ada ',
      '\t',
      'a\u0000b',
      '\u0000',
      'a\u007fb',
      'a\nb',
      '[1]',
      `${'a'.repeat(6000)}\n`,
    ];
    for (const sub of [...refused, true, false, 1.5, 1234567.5, -1, 1e21, 1e15, [], ['a'], {}, { a: 1 }]) {
      for (const more of [{ sub }, { sub: 'ada', org: { team: sub } }]) {
        expect([more, await status('named', rsa.token(good(more)))]).toEqual([more, 403]);
      }
    }
    expect(await status('named', rsa.token(good({ org: { team: 7 } })))).toBe(200);
  });

  test('may not have a NUL in the id of its key', async () => {
    expect(await status('plain', rsa.token(good(), { kid: 'rsa-1\u0000zz' }))).toBe(401);
  });

  test('is answered with 503 while the keys are not known', async () => {
    expect(await status('missing', rsa.token(good()))).toBe(503);
  });
});
