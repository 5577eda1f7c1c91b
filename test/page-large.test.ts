import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startApp, startApps } from './support/app.ts';
import { openPage, shoot, startBrowser } from './support/browser.ts';
import { fillEtcd } from './support/etcd-fill.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser.close());

/** What axe-core finds, a line each. The page's own policy lets no other script in, so this context is told to bypass it. */
async function axeFinds(page: Page): Promise<readonly string[]> {
  await page.addScriptTag({ content: axe.source });
  return page.evaluate(`axe.run().then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ': ' + html + failureSummary)))`);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe-core finds nothing on the page, in dialogs and in an open service (${colorScheme})`, async () => {
    const scenario = await startScenario('folder');
    const [a = ''] = await startApps('a');
    await scenario.writeByHand('instances/web/web-1', a);
    await scenario.writeByHand('instances/web/web-2', '127.0.0.1:1');
    await scenario.writeByHand('instances/web/web-3', 'nonsense');
    await scenario.writeByHand('instances/web/web-4', `{"address":"${a}","version":"2"}`);
    await scenario.writeByHand('overrides/web/web-4', '{"kind":"drain","who":"ada","why":"new disk"}');
    await scenario.writeByHand('services/db', '{"hosts":["web"]}');
    const file = join(scenario.dir, 'token');
    await writeFile(file, 'a-token-of-more-than-16');
    await scenario.balancer('--id', 'edge-1', '--admin-token-file', file).logged('serving');
    const { page, complaints } = await openPage(browser, scenario.admin, { bypassCSP: true, colorScheme });
    await page.getByText('web/web-2 gets no requests').waitFor();
    await page.getByRole('button', { name: 'web', exact: true }).click();
    await page.locator('.instances').getByText('Connection refused').waitFor();
    expect(await axeFinds(page)).toEqual([]);
    await page.getByRole('button', { name: 'Explain web/web-2' }).first().click();
    await page.getByText('last check').waitFor();
    await shoot(page, `explain-${colorScheme}`);
    expect(await axeFinds(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Unlock actions' }).click();
    await page.getByLabel('Token of').fill('a-token-of-more-than-16');
    expect(await axeFinds(page)).toEqual([]);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Act on web/web-1' }).click();
    await page.locator('.preview').getByText('pointsman drain web/web-1').waitFor();
    expect(await axeFinds(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await shoot(page, `all-${colorScheme}`);
    expect(complaints).toEqual([]);
  });
}

test('the page has at most 60 kB, compressed, and asks for nothing else', async () => {
  const scenario = await startScenario('folder');
  const [a = ''] = await startApps('a');
  await scenario.writeByHand('instances/web/web-1', a);
  await scenario.balancer().logged('serving');
  let bytes = 0;
  for (const path of ['/', '/page.js', '/page.css']) {
    const answer = await fetch(`http://127.0.0.1:${scenario.admin}${path}`, { headers: { 'Accept-Encoding': 'gzip' } });
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    bytes += gzipSync(await answer.text()).byteLength;
  }
  expect(bytes).toBeLessThan(60_000);
  expect(bytes).toBeGreaterThan(10_000);
});

/** Measures in the page, from its first line on, how far the layout jumped without input. */
const measuring = `
  window.jumps = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries()) {
      if (!hadRecentInput) jumps.push(value + ' ' + sources.map(({ node }) => node?.className || node?.nodeName).join());
    }
  }).observe({ type: 'layout-shift', buffered: true });
`;

/** A task of a browser's thread; times in microseconds. `tdur`: the processor time, which other processes do not lengthen. */
type TraceEvent = {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
};

/** The processor time in ms of each task of the page's main thread, the longest first. */
function tasksIn(trace: Buffer): readonly number[] {
  const { traceEvents }: { traceEvents: readonly TraceEvent[] } = JSON.parse(trace.toString());
  const mains = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid}/${tid}`),
  );
  return traceEvents
    .filter(({ name, pid, tid }) => /RunTask$/.test(name) && mains.has(`${pid}/${tid}`))
    .map(({ tdur = Number.NaN }) => tdur / 1000)
    .sort((x, y) => y - x);
}

const services = 1000;
const instancesEach = 10;
/** A browser calls a task long from here on. */
const longMs = 50;

/** A few services are down; the others have no checks, which would cost this machine more than the page does. */
function entriesOf(address: string): readonly (readonly [key: string, value: string])[] {
  const names = Array.from({ length: services }, (_, s) => `service-${String(s).padStart(4, '0')}`);
  return names.flatMap((name, s) => {
    const isDown = s % 100 === 50;
    const ids = Array.from({ length: instancesEach }, (_, i) => `instances/${name}/${name}-${i}`);
    return [
      [`/pointsman/services/${name}`, isDown ? '{}' : '{"check":{"kind":"none"}}'] as const,
      ...ids.map((id) => [`/pointsman/${id}`, isDown ? '127.0.0.1:1' : address] as const),
    ];
  });
}

test('1,000 services with 10,000 instances are shown without a stutter and without a jump', async () => {
  const scenario = await startScenario('etcd');
  const app = await startApp('a');
  onTestFinished(() => app.close());
  await fillEtcd(scenario.etcd?.endpoints ?? [], entriesOf(app.address));
  const balancer = scenario.balancer('--id', 'edge-1');
  // Each line of the log is a line of the page, which moves the lines below it. This is the last one of the start: 10 s after it began.
  const last = 'further-health-changes';
  await until('it serves, and said so', () => balancer.log.some(({ event }) => event === last), { deadlineMs: 90_000 });
  const { page, complaints } = await openPage(
    browser,
    scenario.admin,
    { viewport: { width: 1440, height: 1000 } },
    measuring,
  );
  await page.getByText('1,000 services · 10,000 instances').waitFor();
  await page.getByText('1–50 of 1,000').waitFor();
  await page.getByText('service-0050: no instance is up').waitFor();
  // Now it is all there.
  await browser.startTracing(page, {
    categories: ['devtools.timeline', 'toplevel', 'disabled-by-default-devtools.timeline'],
  });
  // The look of every two seconds is part of it.
  const looks = page.waitForResponse((answer) => answer.url().endsWith('/services'));
  await page.getByRole('button', { name: 'next ›' }).click();
  await page.getByText('51–100 of 1,000').waitFor();
  await looks;
  await page.getByRole('button', { name: 'Up', exact: true }).click();
  await page.keyboard.press('/');
  await page.keyboard.type('service-0777', { delay: 30 });
  await page.keyboard.press('Enter');
  await page.locator('.instances').getByText('service-0777-9').waitFor();
  await page.waitForResponse((answer) => answer.url().endsWith('/services'));
  await shoot(page, 'large');
  const tasks = tasksIn(await browser.stopTracing());
  const jumps = await page.evaluate<readonly string[]>('jumps');
  if (process.env['PAGE_SHOTS'] !== undefined)
    process.stderr.write(`tasks ${tasks.length}, longest ${tasks.slice(0, 12).map(Math.round)}, jumps ${jumps}\n`);
  expect(tasks.length).toBeGreaterThan(100);
  expect(tasks[0]).toBeLessThan(longMs);
  expect(jumps).toEqual([]);
  expect(complaints).toEqual([]);
});
