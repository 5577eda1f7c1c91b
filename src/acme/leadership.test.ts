import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { leaderKey } from '../model/acme/keys.ts';
import { openDirectoryRegistry } from '../registry/directory/directory-registry.ts';
import type { Registry } from '../registry/registry.ts';
import { aborted } from '../waiting/time-limit.ts';
import { GaveUp, Leadership, NotWritten, type Term } from './leadership.ts';

const logger = pino({ level: 'silent' });

async function openFolder() {
  const path = await mkdtemp(join(tmpdir(), 'pm-leaders-'));
  const registries: Registry[] = [];
  onTestFinished(async () => {
    await Promise.all(registries.map((one) => one.close()));
    await rm(path, { recursive: true, force: true });
  });
  return (): Registry => {
    const registry = openDirectoryRegistry({ path, logger });
    registries.push(registry);
    return registry;
  };
}

/** A balancer that leads when it may, with its terms. */
function candidate(
  registry: Registry,
  id: string,
  prepare: () => Promise<unknown> = async () => undefined,
  gaveUp: () => Promise<unknown> = () => new Promise(() => undefined),
) {
  const terms: Term[] = [];
  const lead = async (term: Term) => {
    terms.push(term);
    await Promise.race([aborted(term.signal), gaveUp()]);
  };
  const leadership = new Leadership({ registry, id, logger, random: () => 0.5, prepare, lead });
  onTestFinished(() => leadership.close());
  leadership.begin();
  const leads = () => terms.find(({ signal }) => !signal.aborted);
  return { leadership, terms, leads };
}

const write = (term: Term, value: string, since?: Awaited<ReturnType<Term['write']>>) =>
  term.write([{ key: 'acme/orders/shop.example.com', value, since }]);

test('of three balancers one leads, and another one when it ends', async () => {
  const open = await openFolder();
  const all = ['lb-1', 'lb-2', 'lb-3'].map((id) => candidate(open(), id));
  await until('one leads', () => all.some((one) => one.leads()));
  const first = all.find((one) => one.leads());
  expect(all.filter((one) => one.leads())).toEqual([first]);
  await first?.leadership.close();
  await until('another one leads', () => all.some((one) => one.leads()));
  expect(all.filter((one) => one.leads())).toHaveLength(1);
  expect(first?.leads()).toBeUndefined();
});

test('what a former leader writes is refused, also if it has not noticed that another one leads', async () => {
  const open = await openFolder();
  const registry = open();
  const one = candidate(registry, 'lb-1');
  const term = await until('it leads', () => one.leads());
  const revision = await write(term, 'first');
  // Somebody else takes the key: the leader hears of it only later.
  const entry = (await registry.read(leaderKey)).entries.find(({ key }) => key === leaderKey);
  expect(await registry.replace(leaderKey, '{"id":"lb-2"}', entry?.revision)).toBeDefined();
  await expect(write(term, 'second', revision)).rejects.toThrow(NotWritten);
  expect((await registry.read('acme/orders/')).entries.map(({ value }) => value)).toEqual(['first']);
  await until('its term ends', () => term.signal.aborted);
});

test('a key that somebody else has changed is not written, and the leader goes on', async () => {
  const open = await openFolder();
  const registry = open();
  const one = candidate(registry, 'lb-1');
  const term = await until('it leads', () => one.leads());
  const revision = await write(term, 'first');
  await registry.write('acme/orders/shop.example.com', 'by hand');
  await expect(write(term, 'second', revision)).rejects.toThrow(/acme\/orders\/shop\.example\.com/);
  expect(term.signal.aborted).toBe(false);
});

test('a balancer that is not prepared leaves the lead to another one', async () => {
  const open = await openFolder();
  const unprepared = candidate(open(), 'lb-1', () => Promise.reject(new Error('no file')));
  const other = candidate(open(), 'lb-2');
  await until('the other one leads', () => other.leads());
  expect(unprepared.terms).toEqual([]);
});

test('a balancer that gives up leaves the lead to another one', async () => {
  const open = await openFolder();
  let giveUp: (error: Error) => void = () => undefined;
  const unreached = new Promise((_, reject) => {
    giveUp = reject;
  });
  const first = candidate(open(), 'lb-1', undefined, () => unreached);
  await until('it leads', () => first.leads());
  const other = candidate(open(), 'lb-2');
  giveUp(new GaveUp('no authority can be reached'));
  await until('the other one leads', () => other.leads());
  expect(first.terms).toHaveLength(1);
});
