import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { startLoad } from '../bench/load.ts';
import { startApps } from './support/app.ts';
import { openPage, shoot, startBrowser } from './support/browser.ts';
import { freePort } from './support/ports.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser.close());

test('the page shows what is served, and each change as it happens', async () => {
  const scenario = await startScenario('folder');
  const [a = '', b = '', c = ''] = await startApps('a', 'b', 'c');
  await scenario.writeByHand('instances/web/web-1', a);
  await scenario.writeByHand('instances/web/web-2', b);
  await scenario.writeByHand('instances/billing/billing-1', '127.0.0.1:1');
  await writeFile(join(scenario.dir, 'a.mustache'), 'x');
  const settings = { templates: [{ src: 'a.mustache', dest: 'a', check: 'grep -q nothing {{staged}}' }] };
  await writeFile(join(scenario.dir, 'p.yaml'), stringify(settings));
  await scenario.balancer('--id', 'edge-1', '--config', join(scenario.dir, 'p.yaml')).logged('serving');
  await scenario.serves('web', ['a', 'b']);
  const load = startLoad(scenario.http, 'web', 2);
  onTestFinished(async () => void (await load.stop()));

  const { page, complaints } = await openPage(browser, scenario.admin);
  const row = (name: string) => page.locator('.services tbody', { has: page.getByRole('button', { name }) });
  await row('web').getByText('2 of 2').waitFor();
  await row('billing').getByText('0 of 1').waitFor();
  await page.getByText('edge-1').first().waitFor();
  await row('web').locator('.number').first().filter({ hasText: /\d/ }).waitFor();

  await scenario.writeByHand('instances/web/web-3', c);
  await row('web').getByText('3 of 3').waitFor();
  const change = page.locator('.timeline li', { hasText: 'add server web/web-3' }).first();
  await change.waitFor();
  expect(await change.locator('.stages').getAttribute('aria-label')).toMatch(/wait .*, render .*, command /);

  // All by keyboard: to the search, to what it found, into it.
  await page.keyboard.press('/');
  await page.keyboard.type('bill');
  await row('web').waitFor({ state: 'detached' });
  await page.keyboard.press('Enter');
  await page.locator('.instances').getByText('Connection refused').waitFor();
  await shoot(page, 'search');
  await page.keyboard.press('/');
  await page.keyboard.press('Escape');
  await row('web').getByRole('button').click();
  await page.locator('.instances').getByText('web-3').waitFor();
  await shoot(page, 'light');

  await scenario.writeByHand('overrides/web/web-3', '{"kind":"drain","why":"new disk"}');
  await page.locator('.timeline li', { hasText: 'override-applied' }).getByText('new disk').waitFor();
  await scenario.writeByHand('services/a-twin', '{"hosts":["web"]}');
  await scenario.writeByHand('services/b-twin', '{"hosts":["web","twin.example"]}');
  const conflict = 'a-twin does not get the route web/: web has it, as its own name';
  await page.locator('.wrong').getByText(conflict).waitFor();
  // Web is open: at the one that has the route, and then at one that does not.
  await row('web').locator('.detail').getByText(conflict).waitFor();
  await row('a-twin').getByRole('button').click();
  await row('a-twin').locator('.detail').getByText(conflict).waitFor();
  await scenario.writeByHand('instances/web/web-4', 'nonsense');
  await page.locator('.wrong').getByText('instances/web/web-4').waitFor();
  await page
    .locator('.wrong')
    .getByText(`The file ${join(scenario.dir, 'a')} is not up to date`)
    .waitFor();
  await shoot(page, 'trouble');
  await scenario.writeByHand('services/db', `{"mode":"tcp","port":${await freePort()}}`);
  await row('db')
    .getByText(/tcp port \d+/)
    .waitFor();

  // A page that is opened now begins with what happened before.
  await until('the balancer has a history', async () => {
    const { requestsPerS } = JSON.parse((await scenario.askAdmin('/history/web')).body);
    return requestsPerS.filter((perS: number | null) => (perS ?? 0) > 0).length >= 2;
  });
  const second = await openPage(browser, scenario.admin);
  await second.page.getByRole('img', { name: /per second of all services in the last hour: at most [1-9]/ }).waitFor();
  expect([...complaints, ...second.complaints]).toEqual([]);
});

test('the page is readable on a phone, in the dark, and says when the balancer is gone', async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/a-service-with-quite-a-long-name.example/web-1', a);
  const balancer = scenario.balancer('--id', 'edge-1');
  await balancer.logged('serving');
  const { page, complaints } = await openPage(browser, scenario.admin, {
    viewport: { width: 360, height: 740 },
    colorScheme: 'dark',
  });
  await page.getByText('1 of 1').waitFor();
  expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
  const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
  expect(background).toBe('rgb(21, 23, 26)');
  await shoot(page, 'phone');
  expect(complaints).toEqual([]);

  balancer.kill('SIGTERM');
  await balancer.ended;
  await page.locator('.trouble').getByText('does not answer').waitFor();
  await shoot(page, 'gone');
});
