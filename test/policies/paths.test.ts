import { expect, test } from 'vitest';
import { serveAll } from '../support/policies.ts';
import { services, whoGets, whoGetsH2 } from './front.ts';

const served = serveAll(services);
const asWritten = serveAll(services, () => ({ baseSettings: { normalizePaths: false } }));

test.each([
  ['/admin', 'admin', '/admin'],
  ['/%61dmin', 'admin', '/admin'],
  ['/%61%64min/%78?q=%61%2f..//', 'admin', '/admin/x?q=%61%2f..//'],
  ['//admin', 'admin', '/admin'],
  ['///admin//x?q=//', 'admin', '/admin//x?q=//'],
  ['//x/admin', 'site', '/x/admin'],
  ['/x/..//admin', 'admin', '/admin'],
  ['/.//%61dmin', 'admin', '/admin'],
  ['/%61dmin?', 'admin', '/admin?'],
  ['/./admin', 'admin', '/admin'],
  ['/x/../admin', 'admin', '/admin'],
  ['/x/%2e%2e/admin', 'admin', '/admin'],
  ['/x/.%2E/admin/.', 'admin', '/admin/'],
  ['/../../admin', 'admin', '/admin'],
  ['/admin/../x', 'site', '/x'],
  ['/admin/..', 'site', '/'],
  ['/x//../admin', 'site', '/x/admin'],
  ['/api//users', 'api', '/users'],
  ['//api/users?a=//', 'api', '/users?a=//'],
  ['/%61pi/users', 'api', '/users'],
  ['/old//v1/users', 'api', '/users'],
  ['/old/v1/users', 'api', '/users'],
  ['/admin;x', 'admin', '/admin;x'],
  ['/admin;', 'admin', '/admin;'],
  ['/admin;a=1/x;b?c=;', 'admin', '/admin;a=1/x;b?c=;'],
  ['/%61dmin;x=%61', 'admin', '/admin;x=a'],
  ['/;x/admin', 'admin', '/;x/admin'],
  ['//;x//admin', 'admin', '/;x//admin'],
  ['/api;x/users', 'api', '/users'],
  ['/;jsessionid=1', 'site', '/;jsessionid=1'],
  ['/admin%3bx', 'site', '/admin%3bx'],
])('the path %s leads to %s', async (target, name, url) => {
  expect(await whoGets(served.balancer.port, target)).toEqual({ name, url });
  expect(await whoGetsH2(served.balancer.port, target)).toMatchObject({ name, url });
});

test('an encoded slash is part of a segment of a path, and arrives as it was written', async () => {
  expect(await whoGets(served.balancer.port, '/%2fadmin')).toEqual({ name: 'site', url: '/%2fadmin' });
  expect(await whoGets(served.balancer.port, '/x%2F..%2fadmin?a=%2e')).toEqual({
    name: 'site',
    url: '/x%2F..%2fadmin?a=%2e',
  });
});

test('a path that only some servers take for another one is answered with 400', async () => {
  for (const target of ['/x/..;/admin', '/x/..;a=1/admin', '/.;x/admin', '/x/%2e.;/admin', '/x/..;']) {
    expect([target, (await whoGets(served.balancer.port, target)).name]).toEqual([target, 400]);
    expect([target, (await whoGetsH2(served.balancer.port, target)).name]).toEqual([target, 400]);
  }
  for (const target of ['/admin\\', '/x\\..\\admin', '\\admin', '/x/..\\admin', '/%61dmin\\x']) {
    expect([target, (await whoGets(served.balancer.port, target)).name]).toEqual([target, 400]);
  }
  expect(await whoGets(served.balancer.port, '/admin?a=\\&b=..;')).toEqual({ name: 'admin', url: '/admin?a=\\&b=..;' });
});

test('a % that encodes nothing is answered with 400 in a path, and left alone in a query', async () => {
  for (const target of ['/%61dmin/%', '/%zz', '/%6'])
    expect((await whoGets(served.balancer.port, target)).name).toBe(400);
  for (const target of ['/x?100%', '/%20x?100%&a=%41'])
    expect(await whoGets(served.balancer.port, target)).toEqual({ name: 'site', url: target });
});

test('a path in its normal form arrives as it was written', async () => {
  const target = '/a%20b/c;d=1/e~f/http:/x/.well-known/...?x=%41&y=/../..';
  expect(await whoGets(served.balancer.port, target)).toEqual({ name: 'site', url: target });
});

test('with normalize-paths off, paths are matched as they are written', async () => {
  expect(await whoGets(asWritten.balancer.port, '/%61dmin')).toEqual({ name: 'site', url: '/%61dmin' });
  expect(await whoGets(asWritten.balancer.port, '/x/../admin')).toMatchObject({ name: 'site' });
  expect(await whoGets(asWritten.balancer.port, '/admin')).toMatchObject({ name: 'admin' });
  expect(await whoGets(asWritten.balancer.port, '/old//v1/x')).toMatchObject({ name: 'site' });
  expect(await whoGets(asWritten.balancer.port, '/admin;x')).toMatchObject({ name: 'site' });
});
