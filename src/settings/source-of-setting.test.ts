import { expect, test } from 'vitest';
import { Fault } from '../model/fault.ts';
import { defaulted } from './option.ts';
import { namedBySource } from './source-of-setting.ts';
import type { Sources } from './sources.ts';
import { addressWord } from './words.ts';

const command = { options: { admin: defaulted('HOST:PORT', addressWord, '127.0.0.1:8404', 'admin port') } };
const nothing: Sources = { flags: new Map(), env: {}, file: undefined };
const value = { kind: 'scalar', where: '/etc/p.yaml:3:8', text: '127.0.0.1:1' } as const;
const file = { path: '/etc/p.yaml', fields: new Map([['admin', { name: 'admin', where: '/etc/p.yaml:3:1', value }]]) };

test.each<[string, Partial<Sources>]>([
  ['--admin', {}],
  ['POINTSMAN_ADMIN', { env: { POINTSMAN_ADMIN: '127.0.0.1:1' } }],
  ['/etc/p.yaml:3:1: admin', { file }],
  ['POINTSMAN_ADMIN', { file, env: { POINTSMAN_ADMIN: '127.0.0.1:1' } }],
  ['--admin', { file, flags: new Map([['admin', ['127.0.0.1:1']]]), env: { POINTSMAN_ADMIN: '127.0.0.1:1' } }],
  ['--admin', { env: { POINTSMAN_ADMIN: '' } }],
])('an error about a setting names its source: %s', (where, sources) => {
  const fault = new Fault('address-in-use', 'cannot listen', { where: '--admin', hint: 'choose another' });
  const named = namedBySource(fault, command, { ...nothing, ...sources });
  expect(named.toString()).toBe(`${where}: cannot listen (choose another)`);
  expect(named.code).toBe('address-in-use');
});

test('an error about something else stays', () => {
  for (const where of [undefined, '--nothing', 'services/web']) {
    const fault = new Fault('usage', 'no', { where });
    expect(namedBySource(fault, command, { ...nothing, env: { POINTSMAN_ADMIN: 'x' } })).toBe(fault);
  }
});
