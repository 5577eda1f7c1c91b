import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApps } from './support/app.ts';
import { openPage, shoot, startBrowser } from './support/browser.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser.close());

const token = 'a-token-of-more-than-16';

/** A balancer of two instances, that takes the token. */
async function startWithToken() {
  const scenario = await startScenario('folder');
  const [a = '', b = ''] = await startApps('a', 'b');
  await scenario.writeByHand('instances/web/web-1', a);
  await scenario.writeByHand('instances/web/web-2', b);
  const file = join(scenario.dir, 'token');
  await writeFile(file, `${token}\n`, { mode: 0o600 });
  await scenario.balancer('--id', 'edge-1', '--admin-token-file', file).logged('serving');
  await scenario.serves('web', ['a', 'b']);
  return scenario;
}

test('with the token, the page drains an instance after a preview, and ends the drain again', async () => {
  const scenario = await startWithToken();
  const { page, complaints } = await openPage(browser, scenario.admin, { viewport: { width: 390, height: 844 } });
  await page.getByRole('button', { name: 'Unlock actions' }).click();
  await page.getByLabel('Token of').fill('some-other-token-of-16');
  await page.getByLabel('Your name').fill('ada');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('the token is missing or wrong').waitFor();
  expect(complaints.splice(0).join()).toContain('401');
  await page.getByLabel('Token of').fill(token);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Lock actions' }).waitFor();

  await page.getByRole('button', { name: 'web', exact: true }).click();
  await page.getByRole('button', { name: 'Act on web/web-2' }).click();
  await page.getByLabel('Reason').fill('new disk');
  await page.locator('.preview').getByText('web/web-2: no new requests, open ones go on, until').waitFor();
  await page.locator('.preview').getByText('1 of 2 instances of web take new requests').waitFor();
  await page.locator('.preview').getByText("pointsman drain web/web-2 --for 600s --why 'new disk'").waitFor();
  await shoot(page, 'act');
  await page.getByRole('button', { name: 'Do it' }).click();
  await page.getByText('served by 1 of 1 balancers').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
  await scenario.serves('web', ['a']);
  await page.getByText(/drain by ada@.* \(new disk\); 0 open requests/).waitFor();

  await page.getByRole('button', { name: 'Act on web/web-2' }).first().click();
  await page
    .locator('.preview')
    .getByText(/web\/web-2: drain by ada@.* \(new disk\) is ended/)
    .waitFor();
  await page.getByRole('button', { name: 'Do it' }).click();
  await page.getByRole('button', { name: 'Close' }).click();
  await scenario.serves('web', ['a', 'b']);
  expect(complaints).toEqual([]);
  expect(await page.evaluate('document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)')).toBe(
    '{}{}',
  );
  await page.reload();
  await page.getByRole('button', { name: 'Unlock actions' }).waitFor();
});

test('nothing is done without the token, for another origin, or for what is no JSON', async () => {
  const scenario = await startWithToken();
  const ask = (path: string, headers: Readonly<Record<string, string>>, body = '{"action":"drain","service":"web"}') =>
    fetch(`http://127.0.0.1:${scenario.admin}${path}`, { method: 'POST', headers, body });
  const json = { 'Content-Type': 'application/json' };
  const allowed = { ...json, Authorization: `Bearer ${token}` };
  const statuses = async (...asked: readonly Promise<Response>[]) =>
    (await Promise.all(asked)).map(({ status }) => status);
  const refused = await statuses(
    ask('/actions', json),
    ask('/actions/preview', json),
    ask('/actions', { ...json, Authorization: 'Bearer some-other-token-of-16' }),
    ask('/actions', { ...json, Cookie: `token=${token}` }),
    ask('/actions', { ...allowed, Origin: 'http://evil.example' }),
    ask('/actions', { ...allowed, Origin: 'null' }),
    ask('/actions', { ...allowed, 'Content-Type': 'text/plain' }),
    ask('/actions', allowed, 'action=drain&service=web'),
    ask('/actions', allowed, '{"action":"delete","service":"web"}'),
    ask('/actions', allowed, '{"action":"drain","service":"wib"}'),
    ask('/actions', allowed, '{"action":"undrain","service":"web"}'),
    ask('/actions', allowed, '{"action":"drain","service":"web","who":"a b"}'),
    ask('/actions', allowed, `{"action":"drain","service":"web","why":"${'x'.repeat(5000)}"}`),
  );
  expect(refused).toEqual([401, 401, 401, 401, 403, 403, 415, 400, 400, 404, 404, 400, 413]);
  const preflight = await fetch(`http://127.0.0.1:${scenario.admin}/actions`, { method: 'OPTIONS' });
  expect(preflight.headers.get('access-control-allow-origin')).toBeNull();
  expect((await scenario.askAdmin('/status')).body).toContain('"overrides":[]');

  const previews = [
    '{"action":"maintenance","service":"web","instance":"web-1"}',
    '{"action":"weight","service":"web","instance":"web-1","weight":5,"forMs":60000}',
    '{"action":"pause","service":"web","forMs":5000,"why":"swap"}',
    '{"action":"release","service":"web"}',
  ].map(async (body) => (await ask('/actions/preview', allowed, body)).json());
  expect(await Promise.all(previews)).toMatchObject([
    { says: 'web/web-1: no requests, no health checks, until it is cleared' },
    { says: expect.stringMatching(/^web\/web-1: weight 5, until .* \(1m\)$/) },
    { says: expect.stringMatching(/^web \(2 instances\): requests wait, until .* \(5s\)$/) },
    { says: 'web: balancers let go of what they hold' },
  ]);
  expect((await scenario.askAdmin('/status')).body).toContain('"overrides":[]');

  const own = { ...allowed, Origin: `http://127.0.0.1:${scenario.admin}` };
  const drain = '{"action":"drain","service":"web","instance":"web-1","forMs":3000,"who":"ada"}';
  expect(await (await ask('/actions', own, drain)).json()).toMatchObject({
    says: expect.stringContaining('web/web-1: no new requests, open ones go on, until'),
    counts: '1 of 2 instances of web take new requests',
    revision: expect.stringMatching(/^\d+$/),
  });
  await scenario.serves('web', ['b']);
  // It ends by itself.
  await scenario.serves('web', ['a', 'b']);
});

test('without a token file the page offers no actions, and links to the other balancers', async () => {
  const scenario = await startScenario('etcd');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/web-1', a);
  await scenario.balancer('--id', 'edge-1').logged('serving');
  const lease = /lease ([0-9a-f]+)/.exec((await scenario.etcd?.ctl('lease', 'grant', '600')) ?? '')?.[1] ?? '';
  const other = { format: 1, revision: '1', cluster: 'x', owner: 'y', version: '0.0.1', admin: '127.0.0.9:8404' };
  await scenario.etcd?.ctl('put', '--lease', lease, '/pointsman/balancers/edge-2', JSON.stringify(other));
  const { page, complaints } = await openPage(browser, scenario.admin);
  const fleet = page.locator('section', { has: page.getByRole('heading', { name: 'Balancers' }) });
  await fleet.getByText(/revisions? behind/).waitFor();
  await until(
    'it is a link',
    async () => (await fleet.getByRole('link', { name: 'edge-2' }).getAttribute('href')) === 'http://127.0.0.9:8404/',
  );
  expect(await page.getByRole('button', { name: /actions|act on/i }).count()).toBe(0);
  const answer = await fetch(`http://127.0.0.1:${scenario.admin}/actions`, { method: 'POST', body: '{}' });
  expect(answer.status).toBe(405);
  expect(complaints).toEqual([]);
});
