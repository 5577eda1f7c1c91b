// Makes docs/pictures/page.png from a real run: a balancer with its HAProxy, a dozen services with real applications, and requests.
// Run as `npm run pictures`; it takes two minutes. Needs haproxy, openssl and chromium (CHROMIUM_BIN).
// Options: --seconds N (how long requests run before), --scheme light|dark, --width N, --out FILE, --full (the whole page).
import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { Agent, createServer, request } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { build } from './build.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const mostBytes = 200_000;
const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '100' },
    scheme: { type: 'string', default: 'light' },
    width: { type: 'string', default: '1440' },
    height: { type: 'string', default: '1000' },
    out: { type: 'string', default: join(root, 'docs/pictures/page.png') },
    full: { type: 'boolean', default: false },
  },
});

/**
 * The services of the picture: instances, requests per second, how long an answer takes in ms, and the share of errors.
 * @type {readonly { name: string, instances: number, perS: number, ms: number, errors?: number, hosts: readonly string[], path?: string }[]}
 */
const services = [
  { name: 'accounts', instances: 2, perS: 6, ms: 8, hosts: ['accounts.example.com'] },
  { name: 'api', instances: 4, perS: 40, ms: 12, hosts: ['api.example.com'] },
  { name: 'billing', instances: 2, perS: 3, ms: 30, errors: 0.04, hosts: ['billing.example.com'] },
  { name: 'docs', instances: 2, perS: 2, ms: 3, hosts: ['docs.example.com'] },
  { name: 'images', instances: 3, perS: 25, ms: 5, hosts: ['images.example.com'] },
  { name: 'search', instances: 3, perS: 12, ms: 45, hosts: ['shop.example.com'], path: '/search' },
  { name: 'shop', instances: 4, perS: 30, ms: 18, hosts: ['shop.example.com', 'www.example.com'] },
];

/** The same numbers in each run. @param {number} seed */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}
const random = randomFrom(24);

/** Listens on a free port. @param {import('node:net').Server} server @returns {Promise<number>} */
const listen = (server) =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address !== null && typeof address === 'object') resolve(address.port);
    });
  });

/** @returns {Promise<number>} */
async function freePort() {
  const server = createTcpServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @param {typeof services[number]} service */
async function startApp({ ms, errors = 0 }) {
  const server = createServer((_, response) => {
    // A few answers take much longer than most, as in real services.
    const takes = ms * (0.5 + random()) * (random() < 0.06 ? 5 : 1);
    setTimeout(() => {
      response.statusCode = random() < errors ? 500 : 200;
      response.end('hello\n');
    }, takes);
  });
  return { server, port: await listen(server) };
}

const dir = await mkdtemp(join(tmpdir(), 'pm-pictures-'));
/** @type {(() => unknown)[]} */
const ends = [];
try {
  await build();
  /** @param {string} key @param {unknown} value */
  const put = async (key, value) => {
    const path = join(dir, 'registry', key);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, JSON.stringify(value));
  };
  await declare(put);
  await makeCertificates(join(dir, 'certificates'));
  const [http, https, admin] = [await freePort(), await freePort(), await freePort()];
  const balancer = startBalancer('lb-1', '127.0.0.1', { http, https, admin });
  const other = startBalancer('lb-2', '127.0.0.2', {
    http: await freePort(),
    https: await freePort(),
    admin: await freePort(),
  });
  ends.push(
    () => balancer.end(),
    () => other.end(),
  );
  await Promise.all([balancer.serving, other.serving]);
  const stopLoad = startLoad(http);
  ends.unshift(stopLoad);
  await live(put, Number(options.seconds));
  await takePicture(admin);
} finally {
  for (const end of ends) await end();
  await rm(dir, { recursive: true, force: true });
}

/** Registers everything. @param {(key: string, value: unknown) => Promise<void>} put */
async function declare(put) {
  for (const service of services) {
    await put(`services/${service.name}`, { hosts: service.hosts, ...(service.path && { paths: [service.path] }) });
    for (let n = 1; n <= service.instances; n += 1) {
      const { server, port } = await startApp(service);
      ends.push(() => server.close().closeAllConnections());
      const version = n === service.instances && service.name === 'shop' ? '4.2.0' : '4.1.3';
      await put(`instances/${service.name}/${service.name}-${n}`, { address: '127.0.0.1', port, version });
    }
  }
  for (const [name, count] of /** @type {const} */ ([
    ['postgres', 2],
    ['redis', 2],
  ])) {
    await put(`services/${name}`, { mode: 'tcp', port: await freePort() });
    for (let n = 1; n <= count; n += 1) {
      const server = createTcpServer((socket) => socket.resume().on('error', () => undefined));
      const port = await listen(server);
      ends.push(() => server.close());
      await put(`instances/${name}/${name}-${n}`, { address: '127.0.0.1', port });
    }
  }
  // Nobody listens there.
  await put('instances/billing/billing-3', { address: '127.0.0.1', port: await freePort(), version: '4.1.3' });
}

/** What happens while requests run. @param {(key: string, value: unknown) => Promise<void>} put @param {number} seconds */
async function live(put, seconds) {
  await pause((seconds * 1000) / 2);
  const until = new Date(Date.now() + 3_600_000).toISOString();
  await put('overrides/search/search-2', {
    kind: 'drain',
    who: 'ada@ops-1',
    why: 'new disk',
    at: new Date().toISOString(),
    until,
  });
  const { server, port } = await startApp(services[1] ?? { name: 'api', instances: 1, perS: 1, ms: 9, hosts: [] });
  ends.push(() => server.close().closeAllConnections());
  await put('instances/api/api-5', { address: '127.0.0.1', port, version: '4.2.0' });
  await put('instances/docs/docs-3', { address: '127.0.0.1', port: 'eighty' });
  await pause((seconds * 1000) / 2);
}

/** @param {string} folder */
async function makeCertificates(folder) {
  await mkdir(folder);
  for (const [name, days] of /** @type {const} */ ([
    ['shop.example.com', 71],
    ['api.example.com', 12],
  ])) {
    const [key, certificate] = [join(dir, `${name}.key`), join(dir, `${name}.crt`)];
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', String(days),
        '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-keyout', key, '-out', certificate], // biome-ignore format: a command line
      { stdio: 'ignore' },
    );
    await writeFile(
      join(folder, `${name}.pem`),
      `${await readFile(certificate, 'utf8')}${await readFile(key, 'utf8')}`,
    );
  }
}

/** Ports of tcp services are on the address of --http. @param {string} id @param {string} host @param {{ http: number, https: number, admin: number }} ports */
function startBalancer(id, host, { http, https, admin }) {
  const process = spawn(
    join(root, 'bin/pointsman'),
    ['balance', '--registry', `dir:${join(dir, 'registry')}`, '--dir', join(dir, id), '--id', id, '--log-format', 'json',
      '--access-log', 'on', '--http', `${host}:${http}`, '--admin', `127.0.0.1:${admin}`,
      '--https', `${host}:${https}`, '--certificates', join(dir, 'certificates')], // biome-ignore format: a command line
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const ended = new Promise((resolve) => process.once('exit', resolve));
  const serving = new Promise((resolve, reject) => {
    process.stderr.on('data', (chunk) => String(chunk).includes('"event":"serving"') && resolve(undefined));
    void ended.then(() => reject(new Error(`${id} ended before it served`)));
  });
  const end = () => {
    process.kill('SIGTERM');
    return ended;
  };
  return { serving, end };
}

/** Asks each service as often as the list says, more and less by turns. @param {number} port */
function startLoad(port) {
  const agent = new Agent({ keepAlive: true, maxSockets: 40 });
  const tickMs = 50;
  let tick = 0;
  const timer = setInterval(() => {
    tick += 1;
    const wave = 1 + 0.35 * Math.sin(tick / 110) + 0.15 * Math.sin(tick / 17);
    for (const {
      hosts: [host],
      path = '/',
      perS,
    } of services) {
      for (let due = (perS * wave * tickMs) / 1000; due > random(); due -= 1) {
        request({ port, host: '127.0.0.1', agent, path, headers: { host } }, (answer) => answer.resume())
          .on('error', () => undefined)
          .end();
      }
    }
  }, tickMs);
  return () => {
    clearInterval(timer);
    agent.destroy();
  };
}

/** @param {number} admin */
async function takePicture(admin) {
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', ...quiet],
  });
  try {
    const page = await browser.newPage({
      viewport: { width: Number(options.width), height: Number(options.height) },
      colorScheme: options.scheme === 'dark' ? 'dark' : 'light',
    });
    await page.goto(`http://127.0.0.1:${admin}/`);
    await page.getByRole('button', { name: '10 min' }).first().click();
    await page.getByText(/ of /).first().waitFor();
    // Rates need two looks.
    await page.locator('.services td.number').first().filter({ hasText: /\d/ }).waitFor();
    await page.getByRole('button', { name: 'search', exact: true }).click();
    await page.locator('.detail').getByRole('button', { name: '10 min' }).click();
    await page.locator('.instances').getByText('search-3').waitFor();
    // Away from the plots, so that they say "now".
    await page.mouse.move(0, 0);
    await page.evaluate('document.activeElement.blur()');
    await mkdir(dirname(options.out), { recursive: true });
    await page.screenshot({ path: options.out, fullPage: options.full });
  } finally {
    await browser.close();
  }
  const { size } = await stat(options.out);
  if (size > mostBytes && !options.full) throw new Error(`${options.out} has ${size} bytes, more than ${mostBytes}`);
  console.log(`${options.out}: ${size} bytes`);
}
