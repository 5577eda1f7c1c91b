import { describe, expect, test } from 'vitest';
import { parseRegistryLocation } from './registry.ts';

/** What is said of a location. */
function said(text: string): string {
  const parsed = parseRegistryLocation(text);
  return parsed.ok ? 'taken' : parsed.reason;
}

describe('a registry as other programs write it', () => {
  test.each([
    ['http://10.0.0.1:2379', 'etcd://10.0.0.1:2379'],
    ['https://etcd.example.org:2379/', 'etcds://etcd.example.org:2379'],
    ['HTTP://10.0.0.1:2379', 'etcd://10.0.0.1:2379'],
    ['http://a:2379,http://b:2379,http://[::1]:2379', 'etcd://a:2379,b:2379,[::1]:2379'],
    ['http://a:2379, http://b:2379', 'etcd://a:2379,b:2379'],
    ['http://10.0.0.1:2379/pointsman', 'etcd://10.0.0.1:2379, and --root /pointsman/'],
    ['https://10.0.0.1:2379/v3/kv/?x=1#y', 'etcds://10.0.0.1:2379, and --root /v3/kv/'],
    ['etcd://10.0.0.1:2379/pointsman/', 'etcd://10.0.0.1:2379, and --root /pointsman/'],
    ['etcd://a:2379,etcd://b:2379', 'etcd://a:2379,b:2379'],
    ['10.0.0.1:2379', 'etcd://10.0.0.1:2379'],
    ['a:2379,b:2379', 'etcd://a:2379,b:2379'],
    ['grpc://a:2379', 'etcd://a:2379'],
    ['etcd+srvs://example.org', 'etcds+srv://example.org'],
    ['file:///var/lib/registry', 'dir:/var/lib/registry'],
    ['/var/lib/registry', 'dir:/var/lib/registry'],
  ])('%s: the answer says what to write instead', (text, instead) => {
    expect(said(text)).toContain(`is not a registry: write ${instead}`);
    expect(said(instead.replace(/, and --root .*/, ''))).toBe('taken');
  });

  test.each([
    'consul://a:8500',
    'redis',
    'unix:///run/etcd.sock',
    'http://',
    'http://a:2379,https://b:2379',
    'http://a b:1',
    'http://a:1/x,http://b:1/y',
    'etcd://',
  ])('%s: the answer says what there is', (text) => {
    expect(said(text)).toContain('is not one of etcd://HOST:PORT, etcds://HOST:PORT, etcd+srv://DOMAIN, dir:PATH');
  });

  test.each([
    ['etcd://10.0.0.1:2379,', 'an address is missing after a comma in "etcd://10.0.0.1:2379,"'],
    ['etcd://a:2379,,b:2379', 'an address is missing after a comma in "etcd://a:2379,,b:2379"'],
    ['etcds://,a:2379', 'an address is missing before the first comma in "etcds://,a:2379"'],
  ])('%s: the answer says which address is missing', (text, says) => {
    expect(said(text)).toBe(says);
  });

  test('a password in it is not repeated', () => {
    expect(said('http://me:secret@10.0.0.1:2379')).not.toContain('secret');
  });

  test('etcd+srv takes a domain alone', () => {
    expect(parseRegistryLocation('etcd+srv://Example.org')).toMatchObject({
      ok: true,
      value: { members: [], domain: 'example.org', tls: false },
    });
    expect(parseRegistryLocation('etcds+srv://example.org/')).toMatchObject({ ok: true, value: { tls: true } });
    expect(parseRegistryLocation('etcd+srv://_etcdv3._tcp.Example.org.')).toMatchObject({
      value: { domain: '_etcdv3._tcp.example.org' },
    });
    for (const list of ['example.org:2379', '10.0.0.1', 'a.org,b.org'])
      expect(said(`etcds+srv://${list}`)).toContain('as in etcds+srv://example.org');
  });
});
