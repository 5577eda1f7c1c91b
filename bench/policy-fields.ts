// The cost of a field of a policy: instructions in user space that HAProxy needs for each request to a service with the field, next
// to a service without it. Does not depend on the load of the machine.
//
//   node scripts/bench.mjs policy-fields [HAProxy, haproxy] [root of `scripts/debian-root`] > bench/results/policy-fields.md
//   Needs valgrind.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readVersion } from '../src/haproxy/check.ts';
import { startApp } from '../test/support/app.ts';
import { issuePem } from '../test/support/pem.ts';
import { row } from './quantiles.ts';
import { countInstructions, haproxyCommand } from './request-instructions.ts';
import { host, startPointsman } from './request-ways.ts';

const [haproxy = 'haproxy', root] = process.argv.slice(2);
const rateLimit = { requests: 1_000_000, per: '1s' };

const fields: readonly (readonly [string, object])[] = [
  ['none', {}],
  ['`limits.headers`', { limits: { headers: '8k' } }],
  ['`limits.body`', { limits: { body: '10m' } }],
  ['`limits.requests`', { limits: { requests: 1000 } }],
  ['`rateLimit`', { rateLimit }],
  ['`rateLimit` by path', { rateLimit: { ...rateLimit, by: 'path' } }],
  ['`rateLimit` by header, which the request has not', { rateLimit: { ...rateLimit, by: { header: 'X-Api-Key' } } }],
  ['`rateLimit` of the fleet', { rateLimit: { ...rateLimit, scope: 'fleet' } }],
];

const dir = await mkdtemp(join(tmpdir(), 'pm-bench-'));
const certificates = join(dir, 'certificates');
await mkdir(certificates);
await issuePem(certificates, host);
const app = await startApp('app');
try {
  console.log(`HAProxy ${await readVersion(haproxy)}, h1, one thread, GET without a body.\n`);
  console.log(row('field', 'instructions', 'more than without'));
  console.log(row('---', '---', '---'));
  let without: number | undefined;
  for (const [name, policy] of fields) {
    const folder = await mkdtemp(join(dir, 'field-'));
    const servers = [app.address, app.address] as const;
    const fleet = { kind: 'host', services: 1, servers, certificates, fields: policy } as const;
    const way = await startPointsman(haproxy, folder, fleet, 'file');
    await way.close();
    const count = await countInstructions(haproxyCommand(root), folder, { ...way, kind: 'host' });
    without ??= count;
    console.log(row(name, count, `${count - without} (${(((count - without) / without) * 100).toFixed(1)} %)`));
  }
} finally {
  await app.close();
  await rm(dir, { recursive: true, force: true });
}
