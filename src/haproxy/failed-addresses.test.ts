import { expect, test } from 'vitest';
import { parseSocketAddress } from '../model/socket-address.ts';
import { retryInMs, withFailed, withoutLoaded } from './failed-addresses.ts';

const at = (text: string) => parseSocketAddress(text, '') ?? { protocol: 'tcp', host: '', ports: undefined, place: '' };
const alert = (what: string) =>
  `HAProxy refused the reload: [ALERT] (1) : Binding [/x:9] for frontend f: ${what}.; more`;
const tcp = alert('protocol tcpv4: cannot bind socket (Address already in use) for [127.0.0.1:81]');

test('an address for which a reload failed waits, ever longer, and no other one does', () => {
  let failed = withFailed(new Map(), tcp, 0);
  expect(retryInMs(failed, at('127.0.0.1:81'), 1000)).toBe(9000);
  expect(retryInMs(failed, at('127.0.0.1:82'), 1000)).toBeUndefined();
  expect(retryInMs(failed, at('quic4@127.0.0.1:81'), 1000)).toBeUndefined();
  expect(retryInMs(failed, at('127.0.0.1:81'), 10_000)).toBeUndefined();
  failed = withFailed(failed, tcp, 10_000);
  expect(retryInMs(failed, at('127.0.0.1:81'), 10_000)).toBe(20_000);
  expect(retryInMs(withFailed(failed, 'something else', 20_000), at('127.0.0.1:81'), 20_000)).toBe(10_000);
  expect(withoutLoaded(failed, [at('127.0.0.1:81')]).size).toBe(0);
  expect(withFailed(failed, '', 1_000_000).size).toBe(0);
});

test('the addresses are read from what each version of HAProxy says', () => {
  const old = alert('cannot bind socket (Address already in use) for [::1:81]');
  expect(retryInMs(withFailed(new Map(), old, 0), at('[::1]:81'), 0)).toBe(10_000);
  const quic = alert('protocol quic4: cannot bind socket (Address already in use) for [127.0.0.1:81]');
  expect(retryInMs(withFailed(new Map(), quic, 0), at('quic4@127.0.0.1:81'), 0)).toBe(10_000);
  expect(retryInMs(withFailed(new Map(), quic, 0), at('127.0.0.1:81'), 0)).toBeUndefined();
});
