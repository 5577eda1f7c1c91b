import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, test } from 'vitest';
import { formatAddress } from '../model/address.ts';
import { parseAddressSource, parseNet } from '../model/address-source.ts';
import { Fault } from '../model/fault.ts';
import type { Parsed } from '../model/parsed.ts';
import { findAddress } from './find-address.ts';

const of = (...addresses: readonly string[]): NetworkInterfaceInfo[] =>
  addresses.map((address) => {
    const more = {
      address,
      mac: '00:00:00:00:00:00',
      internal: address === '127.0.0.1' || address === '::1',
      cidr: null,
    };
    return address.includes(':')
      ? { ...more, family: 'IPv6', netmask: 'ffff::', scopeid: 0 }
      : { ...more, family: 'IPv4', netmask: '255.0.0.0' };
  });

const lo = of('127.0.0.1', '::1');
const plain = { lo, eth0: of('10.0.0.7', 'fe80::1') };
const dual = { lo, eth0: of('10.0.0.7', '2001:db8::7', 'fe80::1') };
const sixOnly = { lo, eth0: of('fe80::1', '2001:db8::7') };
const docker = { lo, eth0: of('10.0.0.7', '10.0.0.8'), docker0: of('172.17.0.1') };

function find(
  interfaces: Record<string, NetworkInterfaceInfo[]>,
  address: string,
  net?: string,
  env: Record<string, string> = {},
): string {
  const value = <T>(parsed: Parsed<T>): T => {
    if (!parsed.ok) throw new Error(parsed.reason);
    return parsed.value;
  };
  const chosen = net === undefined ? undefined : value(parseNet(net));
  const found = findAddress(value(parseAddressSource(address)), chosen, { interfaces, env });
  return found instanceof Fault ? found.toString() : formatAddress(found);
}

describe("this machine's own address", () => {
  test.each([
    ['the only one', plain, undefined, '10.0.0.7:80'],
    ['IPv4 before IPv6', dual, undefined, '10.0.0.7:80'],
    ['IPv6 when there is no other', sixOnly, undefined, '[2001:db8::7]:80'],
    ['of an interface', docker, 'docker0', '172.17.0.1:80'],
    ['within a network', docker, '172.16.0.0/12', '172.17.0.1:80'],
    ['one of several', docker, '10.0.0.8', '10.0.0.8:80'],
    ['IPv6 when asked', dual, '::/0', '[2001:db8::7]:80'],
    ['loopback when asked', plain, 'lo', '127.0.0.1:80'],
    ['loopback by its network', plain, '127.0.0.0/8', '127.0.0.1:80'],
    ['IPv6 loopback', plain, '::1', '[::1]:80'],
    ['link-local when asked', plain, 'fe80::/10', '[fe80::1]:80'],
    ['no loopback in a wider network', plain, '0.0.0.0/0', '10.0.0.7:80'],
  ])('%s', (_, interfaces, net, address) => {
    expect(find(interfaces, ':80', net)).toBe(address);
  });

  test.each([
    [
      docker,
      undefined,
      '--address: this machine has 3 addresses that fit: 10.0.0.7 (eth0), 10.0.0.8 (eth0), 172.17.0.1 (docker0) (choose with --net docker0, or --net 10.0.0.7)',
    ],
    [
      docker,
      'eth0',
      '--address: this machine has 2 addresses that fit: 10.0.0.7 (eth0), 10.0.0.8 (eth0) (choose with --net 10.0.0.7)',
    ],
    [plain, 'eth1', '--net: no address of this machine fits eth1; it has 10.0.0.7 (eth0) (choose one of them)'],
    [
      plain,
      '192.168.0.0/16',
      '--net: no address of this machine fits 192.168.0.0/16; it has 10.0.0.7 (eth0) (choose one of them)',
    ],
    [
      { lo },
      undefined,
      '--address: this machine has no address that other machines can reach; it has 127.0.0.1 (lo), ::1 (lo) (--net lo uses loopback)',
    ],
    [
      {},
      undefined,
      '--address: this machine has no address that other machines can reach; it has none (--net lo uses loopback)',
    ],
  ])('%# is told when it cannot be chosen', (interfaces, net, message) => {
    expect(find(interfaces, ':80', net)).toBe(message);
  });
});

describe('an address from variables', () => {
  test.each([
    ['env:PUBLISHED', { PUBLISHED: '10.0.0.1:31000' }, '10.0.0.1:31000'],
    ['env:HOST:PORT0', { HOST: 'node7', PORT0: '31000' }, 'node7:31000'],
    ['env:HOST:PORT0', { HOST: '2001:db8::1', PORT0: '31000' }, '[2001:db8::1]:31000'],
    ['env:HOST:PORT0', { HOST: 'node7' }, '--address env:HOST:PORT0: the variable PORT0 is not set'],
    ['env:HOST:PORT0', { HOST: '', PORT0: '1' }, '--address env:HOST:PORT0: the variable HOST is not set'],
    ['env:HOST:PORT0', { HOST: 'node7', PORT0: 'x' }, '--address env:HOST:PORT0: PORT0: "x" is not a port: 1 to 65535'],
    [
      'env:HOST:PORT0',
      { HOST: '0.0.0.0', PORT0: '80' },
      '--address env:HOST:PORT0: HOST: 0.0.0.0 is an address to listen on: give the address that balancers connect to',
    ],
    [
      'env:P',
      { P: '0.0.0.0:80' },
      '--address env:P: P: 0.0.0.0 is an address to listen on: give the address that balancers connect to',
    ],
  ])('%s with %j', (address, env, result) => {
    expect(find(plain, address, undefined, env)).toBe(result);
  });
});

describe('the address for published ports of containers', () => {
  const publishedOn = (interfaces: Record<string, NetworkInterfaceInfo[]>): string => {
    const found = findAddress({ kind: 'found', port: 80, published: true }, undefined, { interfaces, env: {} });
    return found instanceof Fault ? found.toString() : formatAddress(found);
  };

  test.each(['docker0', 'br-0a1b2c3d4e5f', 'docker_gwbridge', 'podman1', 'cni0', 'cni-podman0', 'virbr0', 'veth12ab'])(
    'is not that of the bridge %s',
    (name) => {
      expect(publishedOn({ lo, [name]: of('172.18.0.1'), eth0: of('10.50.0.1') })).toBe('10.50.0.1:80');
    },
  );

  test('can be that of a bridge of the machine, and several name --containers-host', () => {
    const text = publishedOn({ lo, 'br-lan': of('10.60.0.1'), eth0: of('10.50.0.1') });
    expect(text).toContain('2 addresses that fit: 10.60.0.1 (br-lan), 10.50.0.1 (eth0)');
    expect(text).toContain('reach, or choose with --net br-lan');
    expect(text).toMatch(/^--containers-host: /);
  });
});
