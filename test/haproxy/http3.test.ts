import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { chromium } from 'playwright-core';
import { expect, onTestFinished, test } from 'vitest';
import { startApps } from '../support/app.ts';
import { haproxyBin } from '../support/balancer.ts';
import { makeAuthority } from '../support/certificates.ts';
import { freePorts } from '../support/ports.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

const hasQuic = (await execa(haproxyBin, ['-vv'])).stdout.includes(' +QUIC ');

/** A balancer that is told to offer HTTP/3, and what makes certificates for it. */
async function start() {
  const scenario = await startScenario('folder');
  const [[app = ''], [https = 0]] = await Promise.all([startApps('a'), freePorts(1)]);
  const certificates = join(scenario.dir, 'certificates');
  await mkdir(certificates);
  const authority = await makeAuthority(join(scenario.dir, 'authority'));
  /** Puts a certificate for a name into the balancer's folder. Gives the hash by which Chromium trusts it. */
  const issue = async (name: string): Promise<string> => {
    const { certFile, keyFile } = await authority.issue(name, 1, [name]);
    await copyFile(keyFile, join(certificates, `${name}.key`));
    await copyFile(certFile, join(certificates, `${name}.crt`));
    return (await execa('sh', ['-c', `openssl x509 -in ${certFile} -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64`])).stdout; // biome-ignore format: a line
  };
  await scenario.writeByHand('instances/web/a', app);
  await scenario.writeByHand('services/web', JSON.stringify({ hosts: ['*'] }));
  const args = ['--https', `127.0.0.1:${https}`, '--certificates', certificates, '--http3', 'on'];
  const balancer = (...more: readonly string[]) => scenario.balancer('--haproxy', haproxyBin, ...args, ...more);
  return { scenario, https, issue, balancer, args };
}

test.runIf(hasQuic)(
  'a browser is answered over HTTP/3, and told of it, with certificates that come while it runs',
  async () => {
    const { https, issue, balancer } = await start();
    const names = ['shop.example.com', 'blog.example.com'] as const;
    const trusted = [await issue(names[0])];
    // HTTP/3 has no PROXY header, so it needs none from such a network either.
    const running = balancer('--proxy-protocol', '127.0.0.0/8');
    await running.logged('serving');
    trusted.push(await issue(names[1]));
    const browser = await chromium.launch({
      executablePath: process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium',
      args: [
        ...['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
        ...['--disable-sync', '--no-first-run', '--host-resolver-rules=MAP * 127.0.0.1'],
        `--ignore-certificate-errors-spki-list=${trusted.join()}`,
        // Whose authority it does not know it asks over QUIC only if it is told to.
        `--origin-to-force-quic-on=${names.map((name) => `${name}:${https}`).join()}`,
      ],
    });
    onTestFinished(() => browser.close());
    for (const name of names) {
      const page = await browser.newPage();
      const url = `https://${name}:${https}/`;
      const answer = await until(`${name} answers`, async () => (await page.goto(url).catch(() => null)) ?? undefined);
      expect(await answer.text()).toBe('a');
      expect(answer.headers()['alt-svc']).toBe(`h3=":${https}"; ma=3600`);
      expect(await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")).toBe('h3');
    }
    expect(running.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
  },
);

test.runIf(!hasQuic)('an HAProxy without QUIC is told as such', async () => {
  const { issue, balancer } = await start();
  await issue('shop.example.com');
  const refused = balancer();
  expect(await refused.ended).toMatchObject({ code: 1 });
  expect(refused.stderr.at(-1)).toContain('this HAProxy has no QUIC, so it cannot serve HTTP/3: set --http3 off');
});

test.runIf(!hasQuic)(
  'a restart with --http3 on leaves an HAProxy without QUIC serving, and says why it is not ready',
  async () => {
    const { scenario, issue, balancer, args } = await start();
    await issue('shop.example.com');
    const first = scenario.balancer('--haproxy', haproxyBin, ...args.slice(0, -2));
    await first.logged('serving');
    first.kill('SIGUSR2');
    await first.ended;
    await balancer().logged('serving');
    const [b = ''] = await startApps('b');
    await scenario.writeByHand('instances/web/a', b);
    await scenario.serves('any.example.com', ['b']);
    const told = await until('/readyz says why', async () => {
      const { status, body } = await scenario.askAdmin('/readyz');
      return status === 503 && body;
    });
    expect(told).toContain('this HAProxy has no QUIC, so it cannot serve HTTP/3: set --http3 off');
    expect((await scenario.askAdmin('/serving')).status).toBe(200);
  },
);
