import { expect, test } from 'vitest';
import { type Asked, startEcho } from '../support/echo.ts';
import { serveAll } from '../support/policies.ts';
import { askRaw } from '../support/raw-request.ts';
import { closeAtEnd } from './front.ts';

const policies = {
  canonical: { hosts: ['example.com', 'www.example.com'], redirect: { host: 'example.com' } },
  moved: { hosts: ['moved.example.com'], redirect: { host: 'new.example.com', port: 8443, status: 301 } },
  prefix: { hosts: ['p.example.com'], redirect: { from: '/old.v1', to: '/new', status: 302 } },
  numbered: { hosts: ['n.example.com'], redirect: { regex: '^/u/([0-9]+)(/.*)?$', to: '/users/$1$2', status: 307 } },
  one: { hosts: ['one.example.com'], redirect: { to: '/100%25', status: 303 } },
  adding: { hosts: ['add.example.com'], redirect: { trailingSlash: 'add' } },
  removing: { hosts: ['remove.example.com'], redirect: { trailingSlash: 'remove' } },
  secure: {
    hosts: ['s.example.com', 'www.s.example.com'],
    redirect: { host: 's.example.com', from: '/a', to: '/b' },
    https: { redirect: 8443 },
  },
  evil: { hosts: ['*'], paths: ['/evil'], redirect: { regex: '^/evil/(.*)$', to: '/$1' } },
  rewritten: { hosts: ['r.example.com'], rewrite: { from: '/api', to: '/v2/api' } },
  chained: {
    hosts: ['c.example.com'],
    paths: ['/app', '/plain'],
    strip: true,
    rewrite: [
      { regex: '^/([a-z]+)/([0-9]+)$', to: '/$2/$1' },
      { from: '/7', to: '/' },
      { regex: '^/lift(.*)$', to: '/$1' },
    ],
  },
  odd: { hosts: ['o.example.com'], rewrite: { regex: "^/a[\\\\'\\# %]?(.)$", to: '/%25b$1' } },
};

const served = serveAll(async () => {
  const { address } = closeAtEnd(await startEcho('app'));
  const withApp = (name: string) => !['moved', 'one'].includes(name);
  return Object.fromEntries(
    Object.entries(policies).map(([name, policy]) => [
      name,
      { policy, instances: withApp(name) ? { a: address } : {} },
    ]),
  );
});

const ask = async (host: string, path: string, headers: Record<string, string> = {}) => {
  const answer = await served.ask(host, { path, headers });
  return answer.status === 200
    ? (JSON.parse(answer.body) as Asked).url
    : `${answer.status} ${answer.headers.location ?? ''}`.trim();
};

test.each([
  ['www.example.com', '/a?b=%20c', '308 http://example.com/a?b=%20c'],
  ['example.com', '/a?b=c', '/a?b=c'],
  ['EXAMPLE.com:8080', '/a', '/a'],
  ['moved.example.com', '/a/b?c', '301 http://new.example.com:8443/a/b?c'],
  ['p.example.com', '/old.v1', '302 http://p.example.com/new'],
  ['p.example.com', '/old.v1/x?y', '302 http://p.example.com/new/x?y'],
  ['p.example.com', '/old-v1/x', '/old-v1/x'],
  ['p.example.com', '/old.v12/x', '/old.v12/x'],
  ['n.example.com:81', '/u/7?q', '307 http://n.example.com:81/users/7?q'],
  ['n.example.com', '/u/7/x', '307 http://n.example.com/users/7/x'],
  ['n.example.com', '/u/x', '/u/x'],
  ['one.example.com', '/any/path?q=1', '303 http://one.example.com/100%25?q=1'],
  ['add.example.com', '/a?b', '308 http://add.example.com/a/?b'],
  ['add.example.com', '/a/', '/a/'],
  ['add.example.com', '/', '/'],
  ['add.example.com', '/a/style.css', '/a/style.css'],
  ['remove.example.com', '/a/?b', '308 http://remove.example.com/a?b'],
  ['remove.example.com', '/', '/'],
  ['www.s.example.com', '/a/x', '308 https://s.example.com/b/x'],
  ['s.example.com', '/c', '308 https://s.example.com:8443/c'],
])('a request for %s%s is answered with %s', async (host, path, expected) => {
  expect(await ask(host, path)).toBe(expected);
});

test('a path of the client never becomes the host of a redirect', async () => {
  expect(await ask('any.example', '/evil//other.example/x')).toBe('308 http://any.example//other.example/x');
  expect((await askRaw(served.balancer.port, '//other.example/', ['Host: remove.example.com'])).status).toBe(308);
  expect(await ask('remove.example.com', '//other.example/')).toBe('308 http://remove.example.com/other.example');
});

test.each([
  ['r.example.com', '/api', '/v2/api'],
  ['r.example.com', '/api/x?y=/api', '/v2/api/x?y=/api'],
  ['r.example.com', '/apiary', '/apiary'],
  ['c.example.com', '/app/x/8', '/8/x'],
  ['c.example.com', '/app/x/7?q', '/x?q'],
  ['c.example.com', '/app/a/b', '/a/b'],
  ['c.example.com', '/app/lift//b', '/b'],
  ['o.example.com', '/a%62', '/%25bb'],
])('the server gets %s%s as %s', async (host, path, expected) => {
  expect(await ask(host, path)).toBe(expected);
});

test('a rewrite cannot make a path that leads upwards', async () => {
  expect(await ask('c.example.com', '/app/lift../secret')).toBe('400');
  expect(await ask('c.example.com', '/app/lift..')).toBe('400');
  expect(await ask('c.example.com', '/app/lift...')).toBe('/...');
});
