import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatOrderRecord } from '../src/model/acme/order-record.ts';
import { parseSealingKeys, seal } from '../src/model/acme/sealing.ts';
import { formatStoredCertificate } from '../src/model/acme/stored-certificate.ts';
import { startApps } from './support/app.ts';
import { makeAuthority } from './support/certificates.ts';
import { freePorts } from './support/ports.ts';
import { runPointsman } from './support/processes.ts';
import { startScenario } from './support/scenario.ts';
import { until } from './support/until.ts';

// Nobody listens there.
const authority = 'https://127.0.0.1:1/directory';

/** A registry with a certificate of shop.example.com, and a failed order of failed.example.com. */
async function start() {
  const scenario = await startScenario('folder');
  const { dir } = scenario;
  const { certFile, keyFile } = await (await makeAuthority(join(dir, 'ca'))).issue('shop', 30, ['shop.example.com']);
  const line = randomBytes(32).toString('base64');
  await writeFile(join(dir, 'sealing-keys'), `${line}\n`);
  const keys = parseSealingKeys(line);
  if (!keys.ok) throw new Error(keys.reason);
  const key = 'certificates/shop.example.com';
  const sealed = seal(await readFile(keyFile, 'utf8'), key, keys.value, randomBytes(12));
  await scenario.writeByHand(
    key,
    formatStoredCertificate({
      ...{ certificate: await readFile(certFile, 'utf8'), key: sealed, authority, renewBy: 'lifetime' },
      ...{ issuedAt: new Date().toISOString(), renewAt: '2099-01-01T00:00:00.000Z' },
    }),
  );
  await scenario.writeByHand(
    'acme/orders/failed.example.com',
    formatOrderRecord({
      ...{ reason: 'first', stage: 'waiting', authority, failures: 2, error: 'no A record' },
      ...{ order: undefined, key: undefined, nextTry: new Date(Date.now() + 86_400_000).toISOString() },
    }),
  );
  const where = ['--registry', scenario.location, '--admin', `127.0.0.1:${scenario.admin}`];
  return { scenario, run: (...args: readonly string[]) => runPointsman([...args, ...where]) };
}

test('certificates lists certificates and failed orders without a balancer, and says what it cannot know', async () => {
  const { run } = await start();
  const { code, stdout } = await run('certificates');
  expect({ code, text: stdout.join('\n') }).toEqual({
    code: 0,
    text: expect.stringMatching(
      /failed\.example\.com +- +- +- +in \d+.* failed 2 times: no A record\nshop\.example\.com +- +127\.0\.0\.1 +\d{4}-\d\d-\d\d \((?:29d 23h|30d)\) +in \d+d .* valid\nnote: hosts without a certificate are not known: no balancer/,
    ),
  });
  const status = await run('status');
  expect(status.stdout.join('\n')).toContain('failed.example.com has no certificate: no A record (failed 2×');
});

test('a balancer says which hosts ask for certificates, with their services, and why one gets none', async () => {
  const { scenario, run } = await start();
  const [a = ''] = await startApps('a');
  const [https = 0] = await freePorts(1);
  await scenario.writeByHand('instances/web/a', a);
  const hosts = ['shop.example.com', 'failed.example.com', '*.example.org', 'other.example.net'];
  await scenario.writeByHand('services/web', JSON.stringify({ hosts, https: { certificate: 'auto' } }));
  const keys = join(scenario.dir, 'sealing-keys');
  await scenario
    .balancer(
      ...['--https', `127.0.0.1:${https}`, '--acme', authority, '--sealing-keys', keys],
      ...['--acme-allow', '*.example.com,*.example.org'],
    )
    .logged('serving');
  const list = async (): Promise<readonly { host: string; service?: string; state: object }[]> =>
    JSON.parse((await run('certificates', '--json')).stdout.join('')).list;
  const listed = await until('all hosts are listed', async () => {
    const all = await list();
    return all.length === 4 && all.every(({ service }) => service === 'web') ? all : undefined;
  });
  expect(listed.map(({ host, state }) => [host, state])).toEqual([
    ['*.example.org', { kind: 'not-ordered', why: 'needs-dns-01' }],
    ['failed.example.com', { kind: 'failing', failures: 2, error: 'no A record' }],
    ['other.example.net', { kind: 'not-ordered', why: 'not-allowed' }],
    ['shop.example.com', { kind: 'valid' }],
  ]);
  const status = (await run('status')).stdout.join('\n').replaceAll(/\s+/g, ' ');
  expect(status).toContain('other.example.net gets no certificate: --acme-allow does not name it');
});

test('a renewal is asked for only where a certificate would be ordered', async () => {
  const { scenario, run } = await start();
  expect(await run('certificates', '--renew', 'shop.example.com')).toMatchObject({
    code: 0,
    stdout: [expect.stringContaining('shop.example.com: a new certificate is ordered')],
    stderr: [expect.stringContaining('no balancer orders certificates now')],
  });
  const wish = await readFile(join(scenario.dir, 'registry/acme/renewals/shop.example.com'), 'utf8');
  expect(JSON.parse(wish)).toMatchObject({ by: expect.any(String), at: expect.any(String) });
  expect(await run('certificates', '--renew', 'shap.example.com')).toMatchObject({
    code: 1,
    stderr: [expect.stringContaining('did you mean shop.example.com?')],
  });
  expect(await run('certificates', '--renew', 'shop.*')).toMatchObject({
    code: 2,
    stderr: [expect.stringContaining('--renew: "shop.*" is no name that a certificate can have')],
  });
});
