import { expect, test } from 'vitest';
import type { RegistryEvent } from '../../registry/registry.ts';
import { RegistrySources } from '../sources.ts';
import { environmentKeys, openEnvironment } from './environment.ts';

/** The keys and values that a file sees. */
async function keysOf(environment: Readonly<Record<string, string>>, prefix: string, path: string) {
  const sources = new RegistrySources([prefix + path], {}, environmentKeys);
  await new Promise<void>((resolve) => {
    const onEvent = (event: RegistryEvent) => {
      sources.offerForeign(prefix + path, event);
      if (event.kind === 'snapshot') resolve();
    };
    openEnvironment(environment).follow(onEvent);
  });
  const needs = { uses: new Set(['values']), keys: { kind: 'foreign', prefix, paths: [path] } } as const;
  return Object.fromEntries(sources.view(needs).values);
}

test('only names in capitals count for a key', async () => {
  expect(await keysOf({ APP_A: '1', app_a: '2', App_b: '3', APPLE: '4' }, '', '/app')).toEqual({
    '/app/a': '1',
    '/apple': '4',
  });
  expect(await keysOf({ app_a: '2', APP_A: '1' }, '', '')).toEqual({ '/app/a': '1' });
});

test('a prefix is taken off where it is in small letters, as with confd', async () => {
  expect(await keysOf({ BRKX_A: '1' }, '/BrkX', '')).toEqual({ '/brkx/a': '1' });
  expect(await keysOf({ BRKX_A: '1' }, '/brkx', '')).toEqual({ '/a': '1' });
});
