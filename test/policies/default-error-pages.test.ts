import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseDefaultPages } from '../../src/model/policy/error-pages.ts';
import { startApp } from '../support/app.ts';
import { ask as askPort } from '../support/ask.ts';
import { serveAll } from '../support/policies.ts';
import { freePort } from '../support/ports.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

const folder = await mkdtemp(join(tmpdir(), 'pm-pages-'));
const closing: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
afterAll(() => Promise.all(closing.map((close) => close())));
const page = (name: string) => `<h1>${name} "it's" %[src] $HOME</h1>\n`;
const defaults = parseDefaultPages('404=lost,5xx=sorry,429=slow');

const served = serveAll(
  async () => {
    for (const name of ['lost', 'sorry', 'slow', 'own']) await writeFile(join(folder, `${name}.html`), page(name));
    const app = await startApp('app', ({ url }, response) => {
      response.writeHead(Number(url?.slice(1))).end('of the server');
    });
    closing.push(app.close);
    const instances = { a: app.address };
    return {
      plain: { policy: { https: 'optional' }, instances: {} },
      own: { policy: { errorPages: { pages: { '503': 'own' } } }, instances: {} },
      other: { policy: { errorPages: { pages: { '502': 'own' } } }, instances: {} },
      rated: { policy: { rateLimit: { requests: 1, per: '1h' } }, instances },
      up: { instances },
      tcp: { policy: { mode: 'tcp', port: await freePort() }, instances },
    };
  },
  () => ({ errorPages: folder, defaultErrorPages: defaults.ok ? defaults.value : undefined }),
);
const { ask } = served;

describe('default error pages', () => {
  test('answer for a host that no service has', async () => {
    const { status, headers, body } = await ask('unknown.example');
    expect([status, headers['content-type'], body]).toEqual([404, 'text/html', page('lost')]);
  });

  test('stand in for the errors of HAProxy, where a policy has no page', async () => {
    expect(await ask('plain')).toMatchObject({ status: 503, body: page('sorry') });
    expect(await ask('own')).toMatchObject({ status: 503, body: page('own') });
    expect(await ask('other')).toMatchObject({ status: 503, body: page('sorry') });
    await ask('rated', { path: '/200' });
    const { status, headers, body } = await ask('rated', { path: '/200' });
    expect([status, headers['retry-after'], body]).toEqual([429, '3600', page('slow')]);
  });

  test('leave the answers of servers as they are', async () => {
    for (const status of [404, 503]) {
      expect(await ask('up', { path: `/${status}` })).toMatchObject({ status, body: 'of the server' });
    }
  });
});

test('a default error page that changes is served after a reload', async () => {
  const own = await mkdtemp(join(tmpdir(), 'pm-pages-'));
  onTestFinished(() => rm(own, { recursive: true, force: true }));
  await writeFile(join(own, 'lost.html'), 'lost 1');
  const scenario = await startScenario('folder');
  scenario.balancer('--error-pages', own, '--default-error-pages', '404=lost');
  const body = async () => (await askPort(scenario.http, 'nobody.example').catch(() => undefined))?.body;
  await until('the page is served', async () => (await body()) === 'lost 1');
  await writeFile(join(own, 'lost.html'), 'lost 2');
  await until('the new page is served', async () => (await body()) === 'lost 2');
});

test('default error pages are statuses with names', () => {
  const read = (text: string) => {
    const parsed = parseDefaultPages(text);
    return parsed.ok ? Object.fromEntries(parsed.value) : parsed.reason;
  };
  expect(read('404=lost,5xx=sorry')).toMatchObject({ 404: 'lost', 500: 'sorry', 503: 'sorry' });
  expect(read('404')).toBe('"404" is not STATUS=NAME, such as 404=not-found');
  expect(read('404=../x')).toContain('is not the name of a page');
  expect(read('200=x')).toContain('is not a status from 400 to 599');
  expect(read('404=a=b')).toContain('is not STATUS=NAME');
  expect(read('418=x')).toContain('HAProxy itself never answers "418"');
});
