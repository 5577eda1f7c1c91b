import { describe, expect, test } from 'vitest';
import { type Address, type Cidr, parseAddress, parseCidr } from '../model/address.ts';
import { addressRules, machineList } from './address-rules.ts';

function cidrs(...texts: readonly string[]): readonly Cidr[] {
  return texts.flatMap((text) => {
    const parsed = parseCidr(text);
    return parsed.ok ? [parsed.value] : [];
  });
}

function at(text: string): Address {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

const allowedWith = (loopback: boolean, ...networks: string[]) => {
  const { refusedHost } = addressRules({ allowed: cidrs(...networks), loopback });
  return (hosts: readonly string[]) => hosts.filter((host) => refusedHost(host) === undefined);
};

const usual = ['10.0.0.1', '192.168.1.1', '203.0.113.9', 'fd00::1', '2001:db8::1'];
const local = ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '64:ff9b::127.0.0.1'];
const never = ['0.0.0.0', '0.1.2.3', '224.0.0.1', '255.255.255.255', '::', 'ff02::1', '::ffff:0.0.0.0'];
const special = [
  ...['169.254.169.254', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '64:ff9b::a9fe:a9fe', 'fe80::1'],
  ...['fd00:ec2::254', 'fd20:ce::254', 'fd00:c1::a9fe:a9fe', 'fd00:42::42', '100.100.100.200', '168.63.129.16'],
];

describe('where instances may be', () => {
  test('without a setting: everywhere but link-local, metadata, and where no server can be', () => {
    expect(allowedWith(true)([...usual, ...local, ...special, ...never])).toEqual([...usual, ...local]);
    expect(allowedWith(false)([...usual, ...local, ...special, ...never])).toEqual(usual);
  });

  test('with networks: there alone, and in a special range only if a network names it', () => {
    expect(allowedWith(false, '10.0.0.0/8')([...usual, ...local, ...special])).toEqual(['10.0.0.1']);
    const everywhere = allowedWith(false, '0.0.0.0/0', '::/0');
    expect(everywhere([...usual, ...local, ...special, ...never])).toEqual(usual);
    const named = allowedWith(false, '127.0.0.0/8', '169.254.10.0/24');
    expect(named([...local, ...special, '169.254.10.1', '10.0.0.1'])).toEqual([
      ...['127.0.0.1', '127.9.9.9', '::ffff:127.0.0.1', '64:ff9b::127.0.0.1', '169.254.10.1'],
    ]);
  });

  test('never where the balancer itself listens, however that is written', () => {
    const { refused } = addressRules({ allowed: [], loopback: true });
    const machine = machineList(['192.168.1.5', 'fd00::5']);
    const refusedOf = (own: string, ...places: string[]) =>
      places.filter((place) => refused(at(place), machine, [at(own)]) !== undefined);
    const everywhere = [
      '127.0.0.1:80',
      '127.3.3.3:80',
      '[::1]:80',
      '[::ffff:127.0.0.1]:80',
      '192.168.1.5:80',
      '[fd00::5]:80',
    ];
    const others = ['192.168.1.6:80', '127.0.0.1:81'];
    expect(refusedOf('0.0.0.0:80', ...everywhere, ...others)).toEqual(everywhere);
    expect(refusedOf('[::]:80', ...everywhere, ...others)).toEqual(everywhere);
    expect(refusedOf('localhost:80', ...everywhere, ...others)).toEqual(everywhere);
    expect(refusedOf('127.0.0.1:80', ...everywhere)).toEqual(['127.0.0.1:80', '[::ffff:127.0.0.1]:80']);
    expect(refused(at('127.0.0.1:80'), machine, [at('0.0.0.0:80')])).toBe(
      '127.0.0.1:80 is an address of this balancer itself: 0.0.0.0:80',
    );
  });

  test('nor on any port of a range on which it listens', () => {
    const { refused } = addressRules({ allowed: [], loopback: true });
    const own = [{ ...at('127.0.0.1:1000'), lastPort: 1999 }];
    const places = ['127.0.0.1:999', '127.0.0.1:1000', '127.0.0.1:1999', '127.0.0.1:2000'];
    expect(places.filter((one) => refused(at(one), machineList([]), own) !== undefined)).toEqual(places.slice(1, 3));
  });
});
