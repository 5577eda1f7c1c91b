import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startAcmeFleet, untilServed } from '../support/acme-fleet.ts';
import { startBind, whyNoBind } from '../support/bind.ts';

const wildcard = '*.example.com';

test('a wildcard gets its certificate by a command that sets the DNS record', async () => {
  const fleet = await startAcmeFleet();
  const command = join(fleet.dir, 'dns');
  const log = join(fleet.dir, 'dns.log');
  // As an operator writes it: lego's convention, `present` and `cleanup` with the name and the value.
  await writeFile(
    command,
    [
      '#!/bin/sh -e',
      `echo "$@" >> ${log}`,
      'case $1 in',
      `  present) exec curl -sf -d "{\\"host\\":\\"$2\\",\\"value\\":\\"$3\\"}" ${fleet.pebble.nameserverControl}/set-txt ;;`,
      `  cleanup) exec curl -sf -d "{\\"host\\":\\"$2\\"}" ${fleet.pebble.nameserverControl}/clear-txt ;;`,
      'esac',
      '',
    ].join('\n'),
  );
  await chmod(command, 0o755);
  const one = await fleet.balancer('lb-1', '--acme-challenge', 'dns-01', '--acme-dns-command', command);
  await fleet.declare('shop', [wildcard]);
  await untilServed([one], 'any.example.com', wildcard);
  const calls = (await readFile(log, 'utf8')).trim().split('\n');
  expect(calls).toHaveLength(2);
  expect(calls[0]).toMatch(/^present _acme-challenge\.example\.com\. [A-Za-z0-9_-]{43}$/);
  expect(calls[1]).toBe(calls[0]?.replace('present', 'cleanup'));
});

const noBind = await whyNoBind();

test.skipIf(noBind !== undefined)(
  `a wildcard gets its certificate by an update of BIND (RFC 2136)${noBind === undefined ? '' : `: ${noBind}`}`,
  async () => {
    const bind = await startBind('example.com');
    onTestFinished(() => bind.close());
    const fleet = await startAcmeFleet({ pebble: { nameserver: bind.server } });
    const dns = ['--acme-challenge', 'dns-01', '--acme-dns-server', bind.server, '--acme-dns-key', bind.keyFile];
    const one = await fleet.balancer('lb-1', ...dns);
    await fleet.declare('shop', [wildcard, 'example.com']);
    await untilServed([one], 'any.example.com', wildcard);
    await untilServed([one], 'example.com');
    // The records are removed.
    expect(bind.output()).toMatch(/deleting .*_acme-challenge\.example\.com/);
  },
);

test('a wildcard is not ordered without DNS-01', async () => {
  const fleet = await startAcmeFleet();
  const one = await fleet.balancer('lb-1');
  await fleet.declare('shop', [wildcard, 'example.com']);
  await untilServed([one], 'example.com');
  expect(fleet.pebble.ordersOf(wildcard)).toBe(0);
});
