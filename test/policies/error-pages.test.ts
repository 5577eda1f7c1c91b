import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../support/app.ts';
import { ask as askPort } from '../support/ask.ts';
import { serveAll } from '../support/policies.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

const folder = await mkdtemp(join(tmpdir(), 'pm-pages-'));
const closing: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
afterAll(() => Promise.all(closing.map((close) => close())));
const page = (name: string) => `<h1>${name} "it's" %[src] $HOME</h1>\n`;

const served = serveAll(
  async () => {
    for (const name of ['busy', 'oops', 'limit', 'missing']) {
      await writeFile(join(folder, `${name}.html`), page(name));
    }
    const failing = await startApp('failing', ({ url }, response) => {
      response.writeHead(Number(url?.slice(1)), { 'WWW-Authenticate': 'Basic', 'X-Own': 'yes' }).end('a stack trace');
    });
    closing.push(failing.close);
    const instances = { a: failing.address };
    return {
      empty: { policy: { errorPages: { pages: { '503': 'busy', '5xx': 'oops' } } }, instances: {} },
      dead: {
        policy: { check: { kind: 'none' }, errorPages: { pages: { '5xx': 'oops' } } },
        instances: { a: '127.0.0.1:1' },
      },
      denied: { policy: { access: { deny: ['127.0.0.1'] }, errorPages: { pages: { '403': 'oops' } } }, instances },
      rated: {
        policy: { rateLimit: { requests: 1, per: '1h' }, errorPages: { pages: { '4xx': 'limit' } } },
        instances,
      },
      passing: { policy: { errorPages: { pages: { '5xx': 'oops' } } }, instances },
      intercepting: {
        policy: {
          errorPages: { pages: { '4xx': 'missing', '5xx': 'oops', '503': 'busy', '599': 'limit' }, intercept: true },
        },
        instances,
      },
      plain: { policy: { https: 'optional' }, instances: {} },
    };
  },
  () => ({ errorPages: folder }),
);
const { ask } = served;

describe('error pages', () => {
  test('stand in for the errors of HAProxy, of one service only', async () => {
    const { status, headers, body } = await ask('empty');
    expect([status, body]).toEqual([503, page('busy')]);
    expect(headers).toMatchObject({ 'content-type': 'text/html', 'cache-control': 'no-store' });
    expect(await ask('dead')).toMatchObject({ status: 503, body: page('oops') });
    expect(await ask('denied')).toMatchObject({ status: 403, body: page('oops') });
    expect((await ask('plain')).body).toContain('No server is available');
  });

  test('stand in for the answer to a request beyond a rate limit', async () => {
    await ask('rated', { path: '/200' });
    const { status, headers, body } = await ask('rated', { path: '/200' });
    expect([status, headers['retry-after'], body]).toEqual([429, '3600', page('limit')]);
  });

  test('leave the answers of servers as they are', async () => {
    expect(await ask('passing', { path: '/503' })).toMatchObject({ status: 503, body: 'a stack trace' });
  });

  test('stand in for the answers of servers if the policy says so', async () => {
    const pages = {
      200: 'a stack trace',
      404: page('missing'),
      500: page('oops'),
      503: page('busy'),
      599: page('limit'),
    };
    for (const [status, body] of Object.entries(pages)) {
      expect(await ask('intercepting', { path: `/${status}` })).toMatchObject({ status: Number(status), body });
    }
    const { status, headers, body } = await ask('intercepting', { path: '/401' });
    expect([status, headers['www-authenticate'], body]).toEqual([401, 'Basic', 'a stack trace']);
  });
});

test('a changed page is served after a reload, and a new page ends the refusal of its policy', async () => {
  const own = await mkdtemp(join(tmpdir(), 'pm-pages-'));
  onTestFinished(() => rm(own, { recursive: true, force: true }));
  await writeFile(join(own, 'busy.html'), 'busy 1');
  const scenario = await startScenario('folder');
  await scenario.writeByHand('services/web', '{"errorPages":{"pages":{"503":"busy"}}}');
  scenario.balancer('--error-pages', own);
  const body = async (host: string) => (await askPort(scenario.http, host)).body;
  await until('the page is served', async () => (await body('web').catch(() => '')) === 'busy 1');
  await writeFile(join(own, 'busy.html'), 'busy 2');
  await until('the new page is served', async () => (await body('web').catch(() => '')) === 'busy 2');

  await scenario.writeByHand('services/late', '{"errorPages":{"pages":{"503":"late"}}}');
  await scenario.writeByHand('services/other', '{"hosts":["other.example"]}');
  await until('other services go on', async () => (await body('other.example').catch(() => '')).includes('No server'));
  await writeFile(join(own, 'late.html'), 'late');
  await until('the page is served', async () => (await body('late').catch(() => '')) === 'late');
});

test('a page that is deleted while it is in use is served on, holds up no reload, and is a trouble that status names', async () => {
  const own = await mkdtemp(join(tmpdir(), 'pm-pages-'));
  onTestFinished(() => rm(own, { recursive: true, force: true }));
  await writeFile(join(own, 'busy.html'), 'busy');
  const scenario = await startScenario('folder');
  await scenario.writeByHand('services/web', '{"errorPages":{"pages":{"503":"busy"}}}');
  scenario.balancer('--error-pages', own);
  const body = async (host: string) => (await askPort(scenario.http, host)).body;
  await until('the page is served', async () => (await body('web').catch(() => '')) === 'busy');

  await rm(join(own, 'busy.html'));
  const trouble = async () =>
    (await scenario.askAdmin('/status')).body.includes('busy.html: it is gone; its last content is served');
  await until('the trouble is told', trouble);
  await scenario.writeByHand('services/other', '{"hosts":["other.example"],"compression":{}}');
  await until('a new service is served', async () =>
    (await body('other.example').catch(() => '')).includes('No server'),
  );
  expect(await body('web')).toBe('busy');

  await writeFile(join(own, 'busy.html'), 'again');
  await until('the page is back', async () => (await body('web').catch(() => '')) === 'again');
  await until('the trouble is over', async () => !(await trouble()));
});
