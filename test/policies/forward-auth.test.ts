import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { startApp } from '../support/app.ts';
import type { Exchange } from '../support/ask.ts';
import { type Asked, startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { freePort } from '../support/ports.ts';

const closing: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(closing.map((close) => close())));

/** The questions that the authentication got. */
const questions: IncomingMessage[] = [];
beforeEach(() => {
  questions.length = 0;
});

/** Speaks the protocol of oauth2-proxy with `--reverse-proxy --upstream=static://202 --set-xauthrequest`. */
function oauth2Proxy(request: IncomingMessage, response: ServerResponse): void {
  questions.push(request);
  const session = /(?:^|; )_oauth2_proxy=(\w+)/.exec(request.headers.cookie ?? '')?.[1];
  const send = (status: number, headers: Record<string, string | string[]>, body = '') =>
    response.writeHead(status, headers).end(body);
  if (session === 'slow') return void setTimeout(() => send(202, {}), 5_000).unref();
  if (session === 'broken') return void send(500, {}, 'a stack trace');
  if (session === 'huge') return void send(403, { 'X-Reason': 'huge' }, 'x'.repeat(40_000));
  if (session === 'dead') return void request.socket.destroy();
  if (session === undefined) {
    if (request.headers.accept === 'application/json') return void send(401, { 'WWW-Authenticate': 'Bearer' }, '{}');
    const uri = encodeURIComponent(
      `https://${request.headers['x-forwarded-host']}${request.headers['x-forwarded-uri']}`,
    );
    return void send(
      302,
      {
        Location: `/oauth2/sign_in?rd=${uri}`,
        'Set-Cookie': ['_oauth2_proxy_csrf=1; Path=/', 'other=2'],
        'Cache-Control': 'no-store',
      },
      'see there',
    );
  }
  const renewed = session === 'old' ? { 'Set-Cookie': ['_oauth2_proxy=new; HttpOnly', '_oauth2_proxy_1=more'] } : {};
  send(202, { 'X-Auth-Request-User': session, 'X-Auth-Request-Groups': 'a,b', ...renewed });
}

const forward = { service: 'sso', copyHeaders: ['X-Auth-Request-User', 'X-Auth-Request-Groups'] };

const served = serveAll(async () => {
  const web = await startEcho('web');
  const sso = await startApp('sso', oauth2Proxy);
  closing.push(web.close, sso.close);
  const instances = { a: web.address };
  const port = await freePort();
  return {
    sso: { policy: { hosts: ['app.example'], paths: ['/oauth2'] }, instances: { a: sso.address } },
    web: { policy: { hosts: ['app.example'], auth: { forward: { ...forward, timeout: '500ms' } } }, instances },
    stripped: {
      policy: { paths: ['/api'], strip: true, auth: { forward: { ...forward, path: '/v?a=b&c=%20' } } },
      instances,
    },
    lenient: { policy: { auth: { forward: { ...forward, onError: 'allow', timeout: '500ms' } } }, instances },
    cached: { policy: { auth: { forward: { ...forward, cache: '1h' } } }, instances },
    bySession: { policy: { auth: { forward: { ...forward, cache: '1h', cacheBy: 'credentials' } } }, instances },
    brief: { policy: { auth: { forward: { ...forward, cache: '50ms' } } }, instances },
    orphan: { policy: { auth: { forward: { service: 'nobody' } } }, instances },
    empty: { policy: { auth: { forward: { service: 'gone' } } }, instances },
    gone: { instances: {} },
    itself: { policy: { auth: { forward: { service: 'itself', onError: 'allow' } } }, instances },
    one: { policy: { auth: { forward: { service: 'other', onError: 'allow' } } }, instances },
    other: { policy: { auth: { forward: { service: 'one', onError: 'allow' } } }, instances },
    db: { policy: { mode: 'tcp', port }, instances },
    wrong: { policy: { auth: { forward: { service: 'db' } } }, instances },
    limited: { policy: { access: { allow: ['127.0.0.7'] } }, instances },
    viaLimited: { policy: { auth: { forward: { service: 'limited' } } }, instances },
  };
});

const { ask } = served;
const withSession = (session: string, more: Record<string, string> = {}) => ({
  headers: { cookie: `a=b; _oauth2_proxy=${session}`, ...more },
});
const asked = ({ status, body }: Exchange): Asked => {
  expect(status, body).toBe(200);
  return JSON.parse(body) as Asked;
};

describe('forward authentication', () => {
  test('lets a request through that the other service accepts, with the headers of its answer', async () => {
    const { headers } = asked(await ask('app.example', withSession('ann')));
    expect(headers['x-auth-request-user']).toBe('ann');
    expect(headers['x-auth-request-groups']).toBe('a,b');
    expect(headers['cookie']).toBe('a=b; _oauth2_proxy=ann');
    expect(Object.keys(headers).filter((name) => name.startsWith('x-pointsman'))).toEqual([]);
  });

  test('tells the other service which request it is about', async () => {
    await ask('app.example', {
      method: 'POST',
      path: '/a%20b?c=d',
      body: 'hello',
      ...withSession('ann', { authorization: 'Bearer x', 'x-secret': 'y', 'x-forwarded-uri': '/public' }),
    });
    const [question] = questions;
    expect(questions).toHaveLength(1);
    expect(question?.method).toBe('GET');
    expect(question?.url).toBe('/');
    expect(question?.headers).toMatchObject({
      host: 'app.example',
      authorization: 'Bearer x',
      cookie: 'a=b; _oauth2_proxy=ann',
      'x-forwarded-method': 'POST',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'app.example',
      'x-forwarded-uri': '/a%20b?c=d',
      'x-forwarded-for': '127.0.0.1',
      'x-real-ip': '127.0.0.1',
    });
    expect(Object.keys(question?.headers ?? {})).not.toContain('x-secret');
    expect(Object.keys(question?.headers ?? {}).filter((name) => name.startsWith('x-pointsman'))).toEqual([]);
  });

  test('asks about the path that the client sent, by the path of the policy', async () => {
    expect(asked(await ask('stripped', { path: '/api/x?y', ...withSession('ann') })).url).toBe('/x?y');
    expect(questions[0]?.url).toBe('/v?a=b&c=%20');
    expect(questions[0]?.headers['x-forwarded-uri']).toBe('/api/x?y');
  });

  test('gives the client the redirect of the other service, with its cookies and its body', async () => {
    const { status, headers, body } = await ask('app.example', { path: '/deep?x=1' });
    expect(status).toBe(302);
    expect(headers.location).toBe('/oauth2/sign_in?rd=https%3A%2F%2Fapp.example%2Fdeep%3Fx%3D1');
    expect(headers['set-cookie']).toEqual(['_oauth2_proxy_csrf=1; Path=/', 'other=2']);
    expect(headers['cache-control']).toBe('no-store');
    expect(body).toBe('see there');
  });

  test('gives the client a refusal with its challenge', async () => {
    const { status, headers, body } = await ask('app.example', { headers: { accept: 'application/json' } });
    expect([status, headers['www-authenticate'], body]).toEqual([401, 'Bearer', '{}']);
    const head = await ask('app.example', { method: 'HEAD', headers: { accept: 'application/json' } });
    expect([head.status, head.body]).toEqual([401, '']);
  });

  test('leaves out a body that does not fit into one buffer', async () => {
    const { status, headers, body } = await ask('app.example', withSession('huge'));
    expect([status, headers['x-reason'], body]).toEqual([403, 'huge', '']);
  });

  test('gives the client a renewed session, next to what the server answers', async () => {
    const { status, headers } = await ask('app.example', withSession('old'));
    expect(status).toBe(200);
    expect(headers['set-cookie']).toEqual(['_oauth2_proxy=new; HttpOnly', '_oauth2_proxy_1=more']);
  });

  test('removes what the client says about itself, in every spelling', async () => {
    const forged = { 'X-Auth-Request-Groups': 'admin', 'X-Auth_Request.User': 'root', X_AUTH_REQUEST_USER: 'root' };
    const { headers } = asked(await ask('app.example', withSession('ann', forged)));
    expect(Object.entries(headers).filter(([name]) => /auth.request/.test(name))).toEqual([
      ['x-auth-request-user', 'ann'],
      ['x-auth-request-groups', 'a,b'],
    ]);
    const allowed = asked(await ask('lenient', withSession('broken', forged)));
    expect(Object.keys(allowed.headers).filter((name) => /auth.request/.test(name))).toEqual([]);
  });

  test('sends the path of the sign-in to the other service without a question', async () => {
    expect((await ask('app.example', { path: '/oauth2/sign_in', ...withSession('ann') })).status).toBe(202);
    expect(questions).toHaveLength(1);
    expect(questions[0]?.url).toBe('/oauth2/sign_in');
  });

  test.each(['slow', 'broken', 'dead'])('refuses a request if the other service is %s', async (session) => {
    const { status, headers, body } = await ask('app.example', withSession(session));
    expect([status, body]).toEqual([503, 'this request could not be authenticated\n']);
    expect(headers['retry-after']).toBe('5');
    // HAProxy may repeat a question that nobody answers.
    if (session === 'broken') expect(questions).toHaveLength(1);
  });

  test.each(['slow', 'broken', 'dead'])(
    'lets a request through if the policy says so and the service is %s',
    async (session) => {
      expect(asked(await ask('lenient', withSession(session))).name).toBe('web');
    },
  );

  test.each(['orphan', 'empty', 'wrong'])(
    'refuses each request of %s, whose authentication no server can answer',
    async (host) => {
      expect((await ask(host)).status).toBe(503);
    },
  );

  test.each(['itself', 'one', 'other'])('refuses each request of %s, which would ask in a circle', async (host) => {
    expect((await ask(host)).status).toBe(508);
  });

  test('has the rules of the other service apply to the client', async () => {
    expect((await ask('viaLimited')).status).toBe(403);
    expect((await ask('viaLimited', { from: '127.0.0.7' })).status).toBe(200);
  });

  test('asks once for equal questions within the time of the cache', async () => {
    for (const path of ['/a', '/a', '/b']) {
      expect(asked(await ask('cached', { path, ...withSession('cy') })).headers['x-auth-request-user']).toBe('cy');
    }
    // Each thread of HAProxy has its own cache.
    const uris = new Set(questions.map(({ headers }) => headers['x-forwarded-uri']));
    expect([...uris]).toEqual(['/a', '/b']);
    expect(asked(await ask('cached', { path: '/a', ...withSession('di') })).headers['x-auth-request-user']).toBe('di');
  });

  test('asks once for each session if the policy says so, and never remembers a refusal', async () => {
    for (let i = 0; i < 20; i += 1) asked(await ask('bySession', { path: `/${i}`, ...withSession('ed') }));
    expect(questions.length).toBeLessThan(20);
    questions.length = 0;
    for (let i = 0; i < 3; i += 1) expect((await ask('bySession')).status).toBe(302);
    expect(questions).toHaveLength(3);
  });

  test('lets no request of a service wait for its maintenance page', async () => {
    served.balancer.change({
      'services/sso': JSON.stringify({ hosts: ['app.example'], paths: ['/oauth2'], maintenance: true }),
    });
    await served.balancer.applied();
    expect((await ask('app.example', withSession('ann'))).status).toBe(503);
    served.balancer.change({ 'services/sso': JSON.stringify({ hosts: ['app.example'], paths: ['/oauth2'] }) });
    await served.balancer.applied();
    expect((await ask('app.example', withSession('ann'))).status).toBe(200);
  });
});
