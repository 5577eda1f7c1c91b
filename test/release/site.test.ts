import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { execa } from 'execa';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { lacks, ran } from './report.ts';

const root = join(import.meta.dirname, '../..');
const site = join(root, 'site/dist');
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

let browser: Browser;
let address = '';
const server = createServer(async (request, response) => {
  const path = new URL(request.url ?? '/', 'http://site').pathname;
  const file = path.endsWith('/') ? `${path}index.html` : path;
  const body = await readFile(join(site, decodeURIComponent(file))).catch(() => undefined);
  response
    .writeHead(body === undefined ? 404 : 200, { 'content-type': types[extname(file)] ?? 'text/plain' })
    .end(body);
});

beforeAll(async () => {
  const built = await execa('npm', ['run', 'site'], { cwd: root, reject: false, all: true });
  if (built.exitCode !== 0) {
    if (built.all.includes('npm error network')) lacks('the registry of npm packages is not reached');
    throw new Error(`npm run site ended with ${built.exitCode}:\n${built.all}`);
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const executablePath = process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium';
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-background-networking'] });
}, 600_000);
afterAll(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
});

/** A page of the browser, and what went wrong in it: messages, missing files, requests to other hosts. */
async function newPage(options: Parameters<Browser['newPage']>[0] = {}): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage(options);
  onTestFinished(() => page.close());
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith('data:')) complaints.push(request.url());
  });
  return { page, complaints };
}

test('every page opens, on a phone without scrolling sideways, and asks no other host', {
  timeout: 300_000,
}, async () => {
  const { page, complaints } = await newPage({ viewport: { width: 390, height: 844 } });
  const pages = (await readdir(site)).filter((name) => name.endsWith('.html') && name !== '404.html');
  const sources = (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md'));
  expect(pages).toHaveLength(sources.length);
  for (const name of pages) {
    await page.goto(`${address}/${name}`, { waitUntil: 'networkidle' });
    expect(await page.locator('h1').count(), name).toBe(1);
    expect(await page.evaluate('document.documentElement.scrollWidth'), `the width of ${name}`).toBe(390);
  }
  expect(complaints).toEqual([]);
  ran(`${pages.length} pages`);
});

test('the search finds a page while no network is there, and leads to it', async () => {
  const { page, complaints } = await newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(address, { waitUntil: 'networkidle' });
  await page.getByRole('button', { name: 'Search' }).first().click();
  await page.getByRole('searchbox').fill('renew certificates');
  await page.locator('#localsearch-list a[href*="https.html"]').first().click();
  await page.waitForURL(/https\.html/);
  expect(complaints).toEqual([]);
});

test.each(['light', 'dark'] as const)('the site is %s when the reader likes it so', async (colorScheme) => {
  const { page } = await newPage({ colorScheme, viewport: { width: 1440, height: 900 } });
  await page.goto(address, { waitUntil: 'networkidle' });
  expect(await page.evaluate('document.documentElement.classList.contains("dark")')).toBe(colorScheme === 'dark');
  const shots = process.env['PAGE_SHOTS'];
  if (shots !== undefined) await page.screenshot({ path: `${shots}/site-${colorScheme}.png` });
});

test('the side bar has every section of docs/README.md', async () => {
  const { page } = await newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(`${address}/https.html`, { waitUntil: 'networkidle' });
  const sections = await page.locator('.VPSidebar h2').allTextContents();
  expect(sections).toEqual(['Start', 'How do I…', 'Reference', 'Operate', 'Understand']);
});
