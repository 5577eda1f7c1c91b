import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { nothingRendered } from '../render/rendered.ts';
import { parseBackends, parseMap, parseServersState, reconcile } from './running-state.ts';
import { readBackendTraffic } from './stat.ts';

const errors = [
  'Permission denied\n\n',
  'Unknown command, but maybe one of the following ones is a better match:\n  show fd [num]\n',
  'Unknown map identifier. Please use #<id> or <file>.\n\n',
  "didn't find the specified filename\n\n",
  '<html>\n',
];

test.each(errors)('an error is no state, no map, no list and no count: %j', (answer) => {
  expect(() => parseServersState(answer)).toThrow(/HAProxy answered/);
  expect(() => parseMap(answer)).toThrow(/HAProxy answered/);
  expect(() => parseBackends(answer)).toThrow(/HAProxy answered/);
  expect(() => readBackendTraffic(answer)).toThrow(/HAProxy answered/);
});

test('an empty map, and one without backends, are answers', () => {
  expect(parseMap('\n').size).toBe(0);
  expect(parseBackends('# name\n\n').size).toBe(0);
});

const heading = '# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port';
const state = (admin: number) => parseServersState(`1\n${heading}\n3 web 1 a 127.0.0.1 2 ${admin} 100 80\n`);
const believed = (keywords = '') => {
  const name = 'web' as ServiceName;
  const line = `server a 127.0.0.1:80 weight 100${keywords}`;
  const section = { before: '', indent: '', after: '' };
  const backend = { name, section, servers: PersistentMap([['a' as InstanceId, line]]) };
  return { ...nothingRendered, backends: PersistentMap([[name, backend]]) };
};
const differences = (admin: number, keywords = '') =>
  reconcile(believed(keywords), { servers: state(admin), routes: new Map(), backends: new Set(['web']) }, new Map())
    .differences;

test('a server that somebody drains by hand is drift, unless an agent may have done it', () => {
  expect(differences(0)).toEqual([]);
  expect(differences(8)).toEqual(['web/a is 127.0.0.1:80 weight 100 draining instead of 127.0.0.1:80 weight 100']);
  expect(differences(8, ' agent-check agent-port 1')).toEqual([]);
  expect(differences(1)).toEqual(['web/a is 127.0.0.1:80 weight 100 disabled instead of 127.0.0.1:80 weight 100']);
  // In maintenance it takes nothing anyway.
  expect(differences(9, ' disabled')).toEqual([]);
  expect(differences(8, ' disabled')).toHaveLength(1);
});
