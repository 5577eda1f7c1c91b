import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { reloadMaster } from '../../src/haproxy/master.ts';
import { haproxyBin } from '../support/balancer.ts';
import { makeAuthority } from '../support/certificates.ts';
import { issuePem, peerCertificate } from '../support/pem.ts';
import { freePorts } from '../support/ports.ts';
import { startScenario } from '../support/scenario.ts';
import { until } from '../support/until.ts';

async function startWithCertificates(prepare: (dir: string) => Promise<readonly string[]> = async () => []) {
  const scenario = await startScenario('folder');
  const more = await prepare(scenario.dir);
  const folder = join(scenario.dir, 'certificates');
  await mkdir(folder);
  await scenario.writeByHand('instances/web/a', '127.0.0.1:1');
  const [https = 0] = await freePorts(1);
  const start = () =>
    scenario.balancer(...['--haproxy', haproxyBin, '--https', `127.0.0.1:${https}`, '--certificates', folder], ...more);
  const served = async (name: string) => (await peerCertificate(https, name))?.fingerprint;
  return { scenario, folder, https, start, served };
}

/** The revision that a balancer applied moves with each change. */
async function changesAreApplied(scenario: Awaited<ReturnType<typeof startScenario>>, id: string): Promise<void> {
  await scenario.writeByHand(`instances/web/${id}`, '127.0.0.1:2');
  await until(`${id} is served`, async () => {
    const answer = await scenario.askAdmin('/services/web');
    return answer.status === 200 && answer.body.includes(`"${id}"`);
  });
  await until('HAProxy has it', async () =>
    (await readFile(join(scenario.balancerDir, 'haproxy.cfg'), 'utf8')).includes(`server ${id} `),
  );
}

test('a certificate that is too long for a command is served after a reload, and holds up nothing', async () => {
  const { scenario, folder, start, served } = await startWithCertificates();
  await issuePem(folder, 'shop.example.com');
  const balancer = start();
  await balancer.logged('serving');
  const first = await served('shop.example.com');
  expect(first).toBeDefined();

  await issuePem(folder, 'shop.example.com', { moreNames: 400 });
  expect((await readFile(join(folder, 'shop.example.com.pem'))).length).toBeGreaterThan(16_384);
  await until('the long one is served', async () => ![undefined, first].includes(await served('shop.example.com')));
  await balancer.logged('reloaded', ({ reasons }) => JSON.stringify(reasons).includes('shop.example.com.pem changed'));
  await changesAreApplied(scenario, 'b');

  // A new one, too.
  await issuePem(folder, 'blog.example.com', { moreNames: 400 });
  await until('the new one is served', async () => (await served('blog.example.com')) !== undefined);
  await changesAreApplied(scenario, 'c');
  expect(balancer.log.filter(({ event }) => event === 'round-failed')).toEqual([]);
  expect(await scenario.askAdmin('/readyz')).toEqual({ status: 200, body: 'ready\n' });
  // One reload each, and no more. A change that meets one of them may take another one, for a reason of its own.
  await changesAreApplied(scenario, 'd');
  const reloads = balancer.log.filter(({ event }) => event === 'reloaded');
  expect(reloads.filter(({ reasons }) => JSON.stringify(reasons).includes('.pem changed'))).toHaveLength(2);
  // HAProxy's answer about a certificate with so many names ends before the fingerprint.
  expect(balancer.log.filter(({ event }) => event === 'certificate-refused' || event === 'drift')).toEqual([]);
});

test('a chain that is repaired is served although its certificate stayed the same', async () => {
  const { scenario, folder, https, start } = await startWithCertificates();
  const authority = await makeAuthority(join(scenario.dir, 'authority'));
  const { certFile, keyFile } = await authority.issue('shop', 1, ['shop.example.com']);
  const [leaf, key, above] = await Promise.all(
    [certFile, keyFile, authority.caFile].map((file) => readFile(file, 'utf8')),
  );
  const write = async (...parts: readonly (string | undefined)[]) => {
    await writeFile(join(folder, 'part'), parts.join(''));
    await rename(join(folder, 'part'), join(folder, 'shop.pem'));
  };
  await write(leaf, key);
  const balancer = start();
  await balancer.logged('serving');
  const issuer = async () => (await peerCertificate(https, 'shop.example.com'))?.issuerCertificate;
  expect(await issuer()).toBeUndefined();
  await write(leaf, above, key);
  await until('the chain is served', async () => (await issuer())?.subject.CN === 'test CA');
  // And taken away again.
  await write(leaf, key);
  await until('the chain is not served any more', async () => (await issuer()) === undefined);
  expect(balancer.log.filter(({ event }) => event === 'reloaded')).toEqual([]);
});

test('a certificate behind symbolic links is renewed when a link or its target changes', async () => {
  const { scenario, folder, start, served } = await startWithCertificates();
  const [archive, live] = [join(scenario.dir, 'archive'), join(scenario.dir, 'live')];
  await Promise.all([mkdir(archive), mkdir(live)]);
  await issuePem(archive, 'shop.example.com');
  await symlink('../archive/shop.example.com.pem', join(live, 'now.pem'));
  await symlink('../live/now.pem', join(folder, 'shop.pem'));
  const balancer = start();
  await balancer.logged('serving');
  let before = await served('shop.example.com');
  const renewed = () =>
    until(
      'it is renewed',
      async () => {
        const now = await served('shop.example.com');
        if (now === undefined || now === before) return false;
        before = now;
        return true;
      },
      { deadlineMs: 20_000 },
    );

  // The target is replaced in its own folder.
  await issuePem(archive, 'shop.example.com', { days: 3 });
  await renewed();
  // The link in the middle leads to another file.
  await mkdir(join(archive, '2'));
  await issuePem(join(archive, '2'), 'shop.example.com', { days: 4 });
  await symlink('../archive/2/shop.example.com.pem', join(live, 'next.pem'));
  await rename(join(live, 'next.pem'), join(live, 'now.pem'));
  await renewed();
  // Which is followed from now on.
  await issuePem(join(archive, '2'), 'shop.example.com', { days: 5 });
  await renewed();
});

test('a template that names other certificates is a trouble of certificates alone', async () => {
  const shipped = await readFile(join(import.meta.dirname, '../../templates/haproxy.cfg.mustache'), 'utf8');
  const { scenario, folder, start, served } = await startWithCertificates(async (dir) => {
    await issuePem(dir, 'own.example.com');
    const own = shipped.replaceAll('crt-list {{certificateList}}', `crt ${join(dir, 'own.example.com.pem')}`);
    await mkdir(join(dir, 'templates'));
    await writeFile(join(dir, 'templates/haproxy.cfg.mustache'), own);
    return ['--haproxy-templates', join(dir, 'templates')];
  });
  await issuePem(folder, 'shop.example.com');
  const balancer = start();
  await balancer.logged('serving');
  expect(await served('own.example.com')).toBeDefined();
  await changesAreApplied(scenario, 'b');
  const troubles = async () => JSON.parse((await scenario.askAdmin('/status')).body).troubles;
  const told = await until('it is told', async () => {
    const all: { readonly part: string; readonly reason: string }[] = await troubles();
    return all.find(({ part }) => part === 'certificates');
  });
  expect(told.reason).toMatch(/HAProxy answered .* to "show ssl crt-list -n /);
  expect((await scenario.askAdmin('/metrics')).body).toContain('pointsman_trouble{part="certificates"} 1');
  // Changes are applied, so it is ready; nothing that HAProxy has was taken away.
  await changesAreApplied(scenario, 'c');
  expect(await scenario.askAdmin('/readyz')).toEqual({ status: 200, body: 'ready\n' });
  expect(balancer.log.filter(({ event }) => event === 'round-failed')).toEqual([]);
  expect(await served('own.example.com')).toBeDefined();
});

test('a certificate that somebody else gave HAProxy is noticed and replaced, on disk too', async () => {
  const { scenario, folder, start, served } = await startWithCertificates();
  await issuePem(folder, 'shop.example.com');
  const balancer = start();
  await balancer.logged('serving');
  const ours = await served('shop.example.com');
  const copy = join(scenario.balancerDir, 'certificates/shop.example.com.pem');
  const before = await readFile(copy, 'utf8');
  const elsewhere = join(scenario.dir, 'elsewhere');
  await mkdir(elsewhere);
  await issuePem(elsewhere, 'shop.example.com');
  await writeFile(copy, await readFile(join(elsewhere, 'shop.example.com.pem')));
  await reloadMaster(join(scenario.balancerDir, 'run/master.sock'), 20_000);
  expect(await served('shop.example.com')).not.toBe(ours);
  await until('ours is served again', async () => (await served('shop.example.com')) === ours);
  await balancer.logged('drift', ({ differences }) => JSON.stringify(differences).includes('shop.example.com'));
  expect(await readFile(copy, 'utf8')).toBe(before);
});
