import { describe, expect, test } from 'vitest';
import { candidatesOf, parseHosts, parseSearchRules, preferIpv4 } from './system-files.ts';

describe('the files of the system that say what names mean', () => {
  test('/etc/hosts: several names a line, several lines a name, comments, and rubbish', () => {
    const text =
      '127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n# 9.9.9.9 no\n10.0.0.1 App.Internal app # x\nrubbish name\n';
    expect([...parseHosts(text)]).toEqual([
      ['localhost', ['127.0.0.1', '::1']],
      ['ip6-localhost', ['::1']],
      ['app.internal', ['10.0.0.1']],
      ['app', ['10.0.0.1']],
    ]);
    expect(preferIpv4(['::1', '127.0.0.1'])).toEqual(['127.0.0.1']);
    expect(preferIpv4(['::1'])).toEqual(['::1']);
  });

  test('resolv.conf: the last search counts, and ndots says whether the name itself comes first', () => {
    const rules = parseSearchRules(
      'nameserver 10.0.0.1\nsearch x\nsearch a.example b.example.\noptions ndots:2 timeout:1\n',
    );
    expect(rules).toEqual({ domains: ['a.example', 'b.example.'], dots: 2 });
    expect(candidatesOf('web', rules)).toEqual(['web.a.example', 'web.b.example', 'web']);
    expect(candidatesOf('web.ns.svc', rules)).toEqual(['web.ns.svc', 'web.ns.svc.a.example', 'web.ns.svc.b.example']);
    expect(candidatesOf('web', parseSearchRules(''))).toEqual(['web']);
  });
});
