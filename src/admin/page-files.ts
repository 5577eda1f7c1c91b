import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Hono } from 'hono';

const compressed = promisify(gzip);

const files = [
  { path: '/', name: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/page.js', name: 'page.js', type: 'text/javascript; charset=utf-8' },
  { path: '/page.css', name: 'page.css', type: 'text/css; charset=utf-8' },
] as const;

// Nothing from other sites, nothing inline: no text of the registry can become a script here.
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Adds the page that shows all of it live: the files that were built into `folder`, read at each request. */
export function addPage(app: Hono, folder: string): void {
  for (const { path, name, type } of files) {
    app.get(path, async (c) => {
      const text = await readFile(join(folder, name));
      const headers = { 'Content-Type': type, 'Content-Security-Policy': policy, Vary: 'Accept-Encoding' };
      if (!/\bgzip\b/.test(c.req.header('accept-encoding') ?? '')) return c.body(text, 200, headers);
      return c.body(await compressed(text), 200, { ...headers, 'Content-Encoding': 'gzip' });
    });
  }
}
