import { type Browser, chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';

// Chromium looks for Google's hosts at every start unless it is told not to.
const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];

/** The machine's chromium, or `CHROMIUM_BIN`. */
export const startBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', ...quiet],
  });

/** Opens the page of a balancer; what goes wrong in it is in `complaints`. `before`: a script that runs before the page's own. */
export async function openPage(
  browser: Browser,
  admin: number,
  options: Parameters<Browser['newPage']>[0] = {},
  before?: string,
) {
  const page = await browser.newPage(options);
  if (before !== undefined) await page.addInitScript(before);
  onTestFinished(() => page.close());
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== `127.0.0.1:${admin}` && !request.url().startsWith('data:'))
      complaints.push(`it asked ${request.url()}`);
  });
  await page.goto(`http://127.0.0.1:${admin}/`);
  return { page, complaints };
}

/** For a person to look at: `PAGE_SHOTS` names a folder. */
export async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env['PAGE_SHOTS'];
  if (folder !== undefined) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}
