import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { formatAccount } from '../model/acme/account.ts';
import { accountKey } from '../model/acme/keys.ts';
import { parseSealingKeys } from '../model/acme/sealing.ts';
import { openDirectoryRegistry } from '../registry/directory/directory-registry.ts';
import { AccountWatch } from './account-watch.ts';
import { sealKey } from './seal-key.ts';

const directory = 'https://ca.example.com/dir';
const newKeys = () => {
  const parsed = parseSealingKeys(randomBytes(32).toString('base64'));
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};

test('a balancer that stands by tells that it cannot open the account, who made it, and when it can', async () => {
  const path = await mkdtemp(join(tmpdir(), 'pm-account-'));
  const registry = openDirectoryRegistry({ path, logger: pino({ level: 'silent' }) });
  const [ours, theirs] = [newKeys(), newKeys()];
  let keys = ours;
  const told: (string | undefined)[] = [];
  const watch = new AccountWatch({
    ...{ registry, directory, sealingKeys: () => keys },
    onProblem: (reason) => told.push(reason),
  });
  onTestFinished(async () => {
    await watch.close();
    await registry.close();
    await rm(path, { recursive: true, force: true });
  });
  const write = (sealed: typeof ours, more: object = {}) =>
    registry.write(
      accountKey,
      formatAccount({
        ...{ authority: directory, url: undefined, key: sealKey('PEM', accountKey, sealed), by: 'lb-2' },
        ...more,
      }),
    );
  await write(theirs);
  await until('it is told', () => told.length === 1);
  expect(told[0]).toMatch(/^the private key of acme\/account, which lb-2 wrote, cannot be opened: it is sealed with/);
  await write(ours);
  await until('it can be opened', () => told.length === 2);
  expect(told[1]).toBeUndefined();
  keys = theirs;
  watch.look();
  expect(told).toHaveLength(3);
  // That of another authority is not used.
  await write(ours, { authority: 'https://other.example.com/dir' });
  await until('it is of no use', () => told.length === 4);
  expect(told[3]).toBeUndefined();
});
