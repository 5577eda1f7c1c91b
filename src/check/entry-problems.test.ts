import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostileJson, hostileText } from '../../test/support/hostile.ts';
import { entryOfFile } from '../declarations/entry-file.ts';
import { describeProblem } from '../model/problem.ts';
import { entryProblems } from './entry-problems.ts';

const problems = (key: string, text: string) =>
  entryProblems(entryOfFile({ file: 'f', key, text })).map(describeProblem);

describe('what is to stand in the registry', () => {
  test('is in order', () => {
    expect(problems('services/web', '{"hosts":["x.example"]}')).toEqual([]);
    expect(problems('instances/web/a', '10.0.0.1:80\n')).toEqual([]);
    expect(problems('overrides/web/*', '{"kind":"drain"}')).toEqual([]);
    expect(problems('keys/anything', 'whatever')).toEqual([]);
  });

  test('is told everything that is wrong with a policy, each at its place', () => {
    const policy = `{
  "mode": "gopher",
  "hosts": ["a b", "ok.example", "C"],
  "check": { "kind": "http",
             "interval": "1ms", "frob": 1 }
}`;
    expect(problems('services/web', policy)).toEqual([
      'f:2:3: mode: expected ("http" | "tcp"), not "gopher"',
      expect.stringMatching(/^f:3:13: hosts\.0: "a b" is not a host/),
      expect.stringMatching(/^f:3:34: hosts\.2: "C" is not a host/),
      'f:5:14: check.interval: it is not between 50ms and 1h',
      'f:5:33: "check.frob" is not a field of a policy',
    ]);
  });

  test.each([
    ['services/web', '{\n  "mode": "tcp"\n}', 'f:1:1: port: it is missing, and a tcp service needs its own port'],
    ['services/web', '{"hosts":[],\n "hosts":[]}', 'f:2:2: "hosts" is given twice'],
    ['services/web', '{\n "port": 0x50 }', 'f:2:11: it is not JSON'],
    ['services/web', '{"hosts":[]', 'f:1:12: it is not JSON'],
    ['services/web', 'mode: http', 'f:1:1: it is not JSON'],
    ['services/a b', '{}', 'f:1:1: "a b" is not a service name'],
    ['nonsense', '{}', 'f:1:1: "nonsense" is not one of instances/'],
    ['instances/web/a', '10.0.0.1', 'f:1:1: "10.0.0.1" is not host:port'],
    ['instances/web/a', '{"address":"10.0.0.1:80",\n"weight":300}', 'f:2:1: weight "300" is not a whole number'],
    ['services/web', `{"port":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 'f:1:1: it is nested more than 16 levels'],
    ['services/web', `{"a":1,"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 'f:1:1: "a" is given twice'],
    ['overrides/web/a', '{"kind":"drain",\n "until":"soon"}', 'f:2:2: until: "soon" is not a time'],
  ])('%s = %j: %s', (key, text, problem) => {
    const [first] = problems(key, text);
    expect(first?.slice(0, problem.length)).toBe(problem);
  });

  test('whatever it is, has problems on one line with places in it', () => {
    const key = fc.constantFrom('services/web', 'instances/web/a', 'overrides/web/*');
    fc.assert(
      fc.property(key, fc.oneof(hostileJson, hostileText), (at, text) => {
        for (const { line = 1, what } of entryProblems(entryOfFile({ file: 'f', key: at, text }))) {
          expect(line).toBeLessThanOrEqual(text.split('\n').length);
          expect(what).toMatch(/^[\x20-\x7e]+$/);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
