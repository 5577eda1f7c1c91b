import { expect, test } from 'vitest';
import type { FleetMember } from '../balance/queries/fleet-members.ts';
import { compareFleet, pageOfMember } from './fleet-differences.ts';

const member = (id: string, more: Partial<FleetMember> = {}): FleetMember => ({
  ...{
    id,
    revision: 40,
    haproxyVersion: '3.2.1',
    version: '0.2.0',
    config: 'abc',
    admin: undefined,
    refusals: 0,
    problem: undefined,
  },
  ...more,
});

test('a balancer is compared with what most of them have', () => {
  const fleet = [
    member('a'),
    member('b', { revision: 38, haproxyVersion: '3.0.2' }),
    member('c', { config: 'xyz', version: '0.1.0', refusals: 1 }),
    member('d', { problem: 'it is not of format 1', revision: 0, version: '', haproxyVersion: '', config: '' }),
    member('e', { refusals: 1 }),
  ];
  expect(compareFleet(fleet).map(({ kind, differences }) => [kind, ...differences])).toEqual([
    ['good'],
    ['note', '2 revisions behind', 'HAProxy 3.0.2, others 3.2.1'],
    ['note', 'pointsman 0.1.0, others 0.2.0', 'its templates differ from those of the others'],
    ['bad', 'it is not of format 1'],
    ['note'],
  ]);
});

test('only an address becomes a link', () => {
  const link = (admin: string | undefined) => pageOfMember({ admin });
  expect(link('lb-2.example.org:8404')).toBe('http://lb-2.example.org:8404/');
  expect(link('[fd00::2]:8404')).toBe('http://[fd00::2]:8404/');
  for (const bad of [undefined, 'javascript:alert(1)', 'a@b:80', 'a:80/x', 'a']) expect(link(bad)).toBeUndefined();
});
