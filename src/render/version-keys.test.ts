import { describe, expect, test } from 'vitest';
import { serviceOf } from '../../test/support/service.ts';
import type { Sticky } from '../model/policy/sticky.ts';
import type { Policy } from '../model/policy.ts';
import { parseRouteTarget } from '../model/route-target.ts';
import { versionKeys } from './version-keys.ts';

const sticky = {
  to: 'version',
  cookie: 'V' as Sticky['cookie'],
  secure: false,
  sameSite: undefined,
  key: 'k',
} as const;

function keysOf(
  split: Readonly<Record<string, number>>,
  instances: Parameters<typeof serviceOf>[1],
  more: Partial<Policy> = { sticky },
): Readonly<Record<string, string>> | undefined {
  const service = serviceOf(split, instances);
  const keys = versionKeys({ ...service, policy: { ...service.policy, ...more } });
  return keys && Object.fromEntries([...keys].filter(([key]) => !key.includes('/@of/')));
}

describe('the keys about versions', () => {
  test('are only there where requests ask for a version', () => {
    expect(keysOf({ v1: 1 }, [{ version: 'v1' }], {})).toBe(undefined);
    expect(keysOf({ v1: 1 }, [{ version: 'v1' }], { sticky: { ...sticky, to: 'server' } })).toBe(undefined);
  });

  test('name each instance once where all have one weight, and no version without a share', () => {
    const keys = keysOf({ v1: 1 }, [{ version: 'v1' }, { version: 'v2' }, { version: 'v1' }, { version: undefined }]);
    const values = Object.values(keys ?? {});
    expect(Object.keys(keys ?? {})).toEqual(['VERSION:web/v1', 'VERSION:web/v1/0', 'VERSION:web/v1/1']);
    expect(values[0]).toBe('web/=2:2');
    expect(new Set(values).size).toBe(3);
    for (const value of values) expect(parseRouteTarget(value).ok, value).toBe(true);
  });

  test('name an instance as often as its weight says, and each of the first numbers is another one', () => {
    const keys = keysOf({ v1: 1 }, [
      { version: 'v1', weight: 192 },
      { version: 'v1', weight: 64 },
    ]);
    const { 'VERSION:web/v1': counts, ...numbers } = keys ?? {};
    expect(counts).toBe('web/=64:2');
    const ids = Object.values(numbers);
    expect(ids[0]).not.toBe(ids[1]);
    expect(ids.filter((id) => id === ids[0]).length).toBe(48);
  });

  test('leave out instances that drain, and do not mind a split that does not count', () => {
    expect(Object.keys(keysOf({ v1: 1 }, [{ version: 'v1', state: 'draining' }, { version: 'v2' }]) ?? {})).toEqual([
      'VERSION:web/v2',
      'VERSION:web/v2/0',
    ]);
  });
});
