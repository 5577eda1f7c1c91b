import { expect, test } from 'vitest';
import { absentAddresses } from './absent-addresses.ts';
import { listenersIn } from './listeners.ts';

const listeners = (...binds: readonly string[]) =>
  listenersIn(['frontend f', ...binds.map((bind) => `  bind ${bind}`)].join('\n'), 'host');

test('an address that the machine does not have is found, although HAProxy has its port on all addresses', async () => {
  const wanted = listeners('127.0.0.1:80', '192.0.2.1:80', '0.0.0.0:81', '192.0.2.2:80 transparent', '192.0.2.3:80');
  const absent = await absentAddresses(wanted, listeners('0.0.0.0:80', '192.0.2.3:80'));
  expect(absent).toEqual([
    { line: 3, address: '192.0.2.1:80', text: 'cannot listen on 192.0.2.1:80: this machine does not have the address' },
  ]);
});
