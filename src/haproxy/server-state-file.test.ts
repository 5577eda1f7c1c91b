import { Map as PersistentMap } from 'immutable';
import { expect, test } from 'vitest';
import type { InstanceId, ServiceName } from '../model/name.ts';
import { nothingRendered, type Rendered } from '../render/rendered.ts';
import { parseServersState } from './running-state.ts';
import { formatServerStates } from './server-state-file.ts';

function loaded(...lines: readonly string[]): Rendered {
  const name = 'web' as ServiceName;
  const servers = PersistentMap(lines.map((line) => [line.split(' ')[1] as InstanceId, line]));
  const section = { before: '', indent: '', after: '' };
  return { ...nothingRendered, backends: PersistentMap([[name, { name, section, servers }]]) };
}

const heading =
  '# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port';
const state = (name: string, operation: number, admin = 0) =>
  `3 web 1 ${name} 10.0.0.1 ${operation} ${admin} 100 1 17 8 2 0 3 6 0 0 - 80 - 0 0 - - 0`;
const states = (...rows: readonly string[]) => parseServersState(`1\n${heading}\n${rows.join('\n')}\n`);

test('a server that a check found down is written so, and nothing else of it', () => {
  const text = formatServerStates(loaded('server a 10.0.0.1:80 weight 5 check inter 2s'), states(state('a', 0)));
  expect(text).toBe('1\n0 web 0 a - 0 0 256 256 17 8 2 0 6 0 0 0 - 80 -\n');
});

test.each([
  ['is up', 'server a 10.0.0.1:80 check', state('a', 2)],
  ['is in maintenance', 'server a 10.0.0.1:80 check', state('a', 0, 1)],
  ['is disabled from now on', 'server a 10.0.0.1:80 check inter 2s disabled', state('a', 0)],
  ['has no check any more', 'server a 10.0.0.1:80 check-sni x', state('a', 0)],
  ['is at another address from now on', 'server a 10.0.0.2:80 check', state('a', 0)],
  ['left', 'server b 10.0.0.1:80 check', state('a', 0)],
])('a server that %s is not written', (_, line, row) => {
  expect(formatServerStates(loaded(line), states(row))).toBe('1\n');
});

test('a newcomer is written as one that is down', () => {
  const line = 'server b [::1]:81 weight 5 check inter 2s';
  const newcomer = { service: 'web' as ServiceName, id: 'b' as InstanceId, line };
  const text = formatServerStates(loaded(line), states(), [newcomer]);
  expect(text).toBe('1\n0 web 0 b - 0 0 256 256 0 0 0 0 6 0 0 0 - 81 -\n');
});
