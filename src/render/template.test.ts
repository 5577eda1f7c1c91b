import { describe, expect, test } from 'vitest';
import { originOf, parseTemplate, splitAtSlot } from './template.ts';

const parse = (text: string) => parseTemplate('server', 'own/server.mustache', text);

describe('a template', () => {
  test('renders what is known to it', () => {
    const template = parse('server {{id}} {{address}}{{#check}} check inter {{interval}}{{/check}}');
    expect(template.render({ id: 'a', address: '[::1]:80', check: { interval: '2s' } })).toBe(
      'server a [::1]:80 check inter 2s',
    );
  });

  test.each([
    ['server {{id}\n{{address}}', 'own/server.mustache:1:8'],
    ['server {{id}}\n  {{#check}} x', 'own/server.mustache:2:'],
    ['server {{id}}\nx {{adress}}', 'own/server.mustache:2:3: {{adress}} is not known to this template'],
    ['server {{{id}}}', 'own/server.mustache:1:8: {{{id}}} would insert an unchecked value'],
    ['server {{&id}}', 'own/server.mustache:1:8: {{{id}}} would insert an unchecked value'],
    ['{{> other}}', 'own/server.mustache:1:1: {{>…}} is not available here'],
  ])('%j is refused with its place', (text, message) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'template' }));
    try {
      parse(text);
    } catch (error) {
      expect(String(error)).toContain(message);
    }
  });

  test.each(['a b', 'a\nb', 'a;b', '"a"', 'a#b', 'a\\b', '%[src]', 'ａ', '\0'])(
    'lets no %j into a configuration',
    (value) => {
      expect(() => parse('server {{id}} {{address}} {{meta.x}}').render({ id: 'a', meta: { x: value } })).toThrow(
        expect.objectContaining({ code: 'template' }),
      );
    },
  );

  test('needs its slot once, with three braces', () => {
    expect(() => parseTemplate('backend', 'b', 'backend {{name}}\n')).toThrow('occurs 0 times');
    expect(() => parseTemplate('backend', 'b', '{{servers}}')).toThrow('needs three braces');
  });

  test('is split at its slot, the indent kept', () => {
    const template = parseTemplate('backend', 'b', 'backend {{name}}\n    {{{servers}}}\n    # end\n');
    expect(splitAtSlot(template.render({ name: 'web' }))).toEqual({
      before: 'backend web\n',
      indent: '    ',
      after: '    # end\n',
    });
  });

  test('is named for a line that it made', () => {
    const templates = [parse('server {{id}} {{address}} frobnicate'), parse('other')];
    expect(originOf('server a 10.0.0.1:80 frobnicate', templates)).toBe('own/server.mustache:1');
    expect(originOf('    server a', templates)).toBeUndefined();
  });
});
