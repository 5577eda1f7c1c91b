import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeProblem } from '../model/problem.ts';
import { templateProblems } from './template-problems.ts';

const whats = (role: Parameters<typeof templateProblems>[0], text: string) =>
  templateProblems(role, 't', text).map((problem) => describeProblem(problem).replace(/ \(known names: .*/, ''));

describe('a template', () => {
  test('that is well has no problems', () => {
    expect(whats('server', 'server {{id}} {{address}}{{#check}} check{{/check}}')).toEqual([]);
  });

  test('is told all that is wrong with it, each with its place', () => {
    expect(
      whats('server', 'server {{idd}} {{address}}\n  {{#chek}} {{interval}}{{/chek}} {{{zone}}}\n{{> x}}'),
    ).toEqual([
      't:1:8: {{idd}} is not known to this template',
      't:2:3: {{chek}} is not known to this template',
      't:2:35: {{{zone}}} would insert an unchecked value (write {{zone}})',
      't:3:1: {{>…}} is not available here',
    ]);
  });

  test.each([
    ['server {{id', 't:1:12: Unclosed tag'],
    ['server {{#check}} x', 't:1:20: Unclosed section "check"'],
    ['{{/check}}', 't:1:1: Unopened section "check"'],
  ])('%s: %s', (text, what) => {
    expect(whats('server', text)).toEqual([what]);
  });

  test('without its slot is told so once', () => {
    expect(whats('backend', 'backend {{nam}}\n')[0]).toContain('{{nam}} is not known');
    expect(whats('backend', 'backend {{name}}\n')).toEqual(['t:1:1: {{{servers}}} occurs 0 times instead of once']);
  });

  test('whatever it is, its problems are found in bounded time and have places in it', () => {
    const piece = fc.constantFrom('{{', '}}', '{{{', '}}}', '{{#check}}', '{{/check}}', '{{x}}', '{{id}}', '{{> p}}', '{{=<% %>=}}', ' ', '\n', 'server', '{{^y}}', '{{/y}}', '{{! c }}'); // biome-ignore format: one line
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join('');
        for (const { line = 1 } of templateProblems('server', 't', text)) {
          expect(line).toBeGreaterThan(0);
          expect(line).toBeLessThanOrEqual(text.split('\n').length);
        }
      }),
      { numRuns: 500 },
    );
  });
});
