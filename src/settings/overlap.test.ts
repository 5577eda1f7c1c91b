import { describe, expect, test } from 'vitest';
import { problems } from '../../test/support/settings.ts';
import { balanceCommand } from './balance.ts';

const other = '192.0.2.1:443';

describe('two settings whose addresses overlap are refused', () => {
  test.each([
    ['0.0.0.0:80', '0.0.0.0:80'],
    ['0.0.0.0:80', '127.0.0.1:80'],
    ['127.0.0.1:80', '0.0.0.0:80'],
    ['127.0.0.1:80', '[::]:80'],
    ['0.0.0.0:80', '[::]:80'],
    ['[::1]:80', '[::]:80'],
    ['[2001:db8::1]:80', '[2001:db8:0:0::1]:80'],
    ['localhost:80', '127.0.0.1:80'],
    ['web.example:80', '0.0.0.0:80'],
    ['web.example:80', 'web.example:80'],
  ])('%s and %s', (http, second) => {
    const hint = (flag: string) => `give ${flag} and --http different ports, or addresses of which neither includes`;
    for (const [flags, flag] of [
      [{ http, https: second, certificates: '/c' }, '--https'],
      [{ http, admin: second }, '--admin'],
      [{ http, 'haproxy-metrics': second }, '--haproxy-metrics'],
    ] as const) {
      const [line, ...more] = problems(balanceCommand, { flags });
      expect(more).toEqual([]);
      expect(line).toContain(`${flag}: ${second} overlaps with ${http} of --http`);
      expect(line).toContain(hint(flag));
    }
  });

  test('also where one is a default, and whatever the source', () => {
    expect(problems(balanceCommand, { yaml: 'http: 0.0.0.0:8404\n' })[0]).toContain(
      '--admin: 127.0.0.1:8404 overlaps with 0.0.0.0:8404 of --http',
    );
    const flags = { https: other, admin: other, certificates: '/c' };
    expect(problems(balanceCommand, { flags })[0]).toContain(`--admin: ${other} overlaps with ${other} of --https`);
  });
});

test.each([
  ['0.0.0.0:80', '0.0.0.0:81'],
  ['127.0.0.1:80', '127.0.0.2:80'],
  ['0.0.0.0:80', '[::1]:80'],
  ['[2001:db8::1]:80', '[2001:db8::2]:80'],
  ['web.example:80', '192.0.2.1:80'],
  ['web.example:80', 'api.example:80'],
])('%s and %s do not overlap', (http, https) => {
  expect(problems(balanceCommand, { flags: { http, https, certificates: '/c' } })).toEqual([]);
});
