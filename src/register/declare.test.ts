import { describe, expect, test } from 'vitest';
import { parseAddressSource } from '../model/address-source.ts';
import { Fault } from '../model/fault.ts';
import { parseHealthCheck } from '../model/health-check.ts';
import { parseServiceName } from '../model/name.ts';
import type { Parsed } from '../model/parsed.ts';
import type { InstanceSettings } from '../settings/register.ts';
import { formatTarget } from './check-target.ts';
import { declare } from './declare.ts';

function value<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}

const settings = (address: string, check?: string): InstanceSettings => ({
  service: value(parseServiceName('web')),
  id: undefined,
  address: value(parseAddressSource(address)),
  net: undefined,
  weight: 100,
  version: undefined,
  zone: undefined,
  role: 'active',
  meta: {},
  check: check === undefined ? undefined : value(parseHealthCheck(check)),
  rhythm: { intervalMs: 2000, timeoutMs: 2000, rise: 1, fall: 3 },
  unhealthy: 'withdraw',
});

const here = { hostname: 'node7', owner: 'o', interfaces: {}, env: { PUBLISHED: '10.0.0.1:31000' } };
const alone = { ...here, hasCommand: false };
const parent = { ...here, hasCommand: true };

test('an instance is named after its host and port, so that a restart finds its key again', () => {
  expect(declare(settings('10.0.0.7:80'), alone)).toMatchObject({ instance: { id: 'node7-80' } });
});

test('a host name that cannot be an id asks for one', () => {
  expect(String(declare(settings('10.0.0.7:80'), { ...alone, hostname: '-odd-' }))).toMatch(
    /^--id by default: "-odd--80" is not .*\(give --id\)$/,
  );
});

test('what balancers would refuse is refused before it is announced', () => {
  const declared = declare({ ...settings('10.0.0.7:80'), meta: { team: 'a\u0007b' } }, alone);
  expect(String(declared)).toBe('instances/web/node7-80: balancers would refuse it: meta.team has a control character');
});

describe('what a check leaves out is taken from the announced address', () => {
  test.each([
    ['10.0.0.7:80', 'tcp', 'tcp://10.0.0.7:80'],
    ['10.0.0.7:80', 'tcp://:81', 'tcp://10.0.0.7:81'],
    ['10.0.0.7:80', 'http:///health', 'http://10.0.0.7:80/health'],
    ['[2001:db8::7]:80', 'https+insecure://', 'https+insecure://[2001:db8::7]:80/'],
    ['10.0.0.7:80', 'https://app:443/', 'https://app:443/'],
    ['10.0.0.7:80', 'cmd:true', 'cmd:true'],
    // A published address is not the application's own.
    ['env:PUBLISHED', 'tcp://:8080', 'tcp://127.0.0.1:8080'],
    ['env:PUBLISHED', 'http://app:8080/', 'http://app:8080/'],
  ])('%s, %s', (address, check, target) => {
    const declared = declare(settings(address, check), alone);
    expect(declared instanceof Fault || declared.check === undefined ? declared : formatTarget(declared.check)).toBe(
      target,
    );
  });

  test('but a published port says nothing of the own one', () => {
    expect(String(declare(settings('env:PUBLISHED', 'tcp'), alone))).toContain('name it, as in tcp://:8080');
  });
});

test('without a choice, a command must accept connections first; what runs elsewhere counts as healthy', () => {
  const target = { kind: 'tcp', host: '10.0.0.7', port: 80 };
  expect(declare(settings('10.0.0.7:80'), parent)).toMatchObject({ check: target });
  expect(declare(settings('10.0.0.7:80', 'none'), parent)).toMatchObject({ check: undefined });
  expect(declare(settings('10.0.0.7:80'), alone)).toMatchObject({ check: undefined });
  expect(declare(settings('env:PUBLISHED'), parent)).toMatchObject({ check: undefined });
});
