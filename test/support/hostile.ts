import fc from 'fast-check';

/** Text that means something to one of those who read what we write: HAProxy, Mustache, a shell, a terminal, JSON. */
const dangerous = [
  '\n', '\r', '\r\n', '\t', ' ', '\0', '\x1b[2J', '\x7f', '\x85', '\u2028', '\ufeff', '\u202e', '\u200b', '\u00a0',
  '"', "'", '\\', ';', '#', '$', '%', '{', '}', '|', '&', '<', '>', '`', '(', ')', '!', '^', '?',
  '{{', '{{{', '{{{servers}}}', '{{#meta}}', '{{=<% %>=}}', '{{> other}}', '{{! x }}', '\u0001',
  '%[src]', '%[env(HOME)]', '$HOME', `$${'{HOME}'}`, '"$POINTSMAN_ETCD_PASSWORD"', '%%', '$$', '`id`', '$(id)',
  '\nbackend evil\n    server e 10.6.6.6:80\n', '\n    server evil 10.6.6.6:80', ' # ', ' check ', ' disabled', ' weight 9',
  '; del server web/a', ';shutdown frontend _http', '\nset server web/a state maint\n', '<<\n', ' << ',
  '../', '/../', '//', '/./', '.', '..', '-', '--', '-f', '@', 'unix@/run/x', 'fd@3', 'abns@x', 'ipv4@', '*',
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype',
  'а', 'Κ', 'ﬀ', 'ı', 'İ', 'ſ', '０', '８０', '．', '：', '／', '。', '⁄', '🂡', '\ud800', 'é', 'e\u0301', 'Ａ',
]; // biome-ignore format: groups by reader

/** Numbers that some parser takes and ours must not. */
const numbers = ['1e2', '0x50', '080', '-0', '+80', '80.0', '8_0', '0', '65536', '4294967376', '1e400', 'NaN', 'Infinity', ' 80', '80 ', '٨٠']; // biome-ignore format: one line

const decent = [
  'web',
  'a',
  'web-1',
  '10.0.0.1:80',
  '[::1]:80',
  '10.0.0.1',
  'shop.example.com',
  '/api',
  '2s',
  '80',
  'X-A',
];

const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...dangerous) },
  { weight: 2, arbitrary: fc.constantFrom(...decent) },
  { weight: 1, arbitrary: fc.constantFrom(...numbers) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
);

/** Anything that a hand, a bug or an attacker may have put where a word is expected. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join('')) },
  { weight: 2, arbitrary: fc.constantFrom(...numbers, ...dangerous, '') },
  { weight: 1, arbitrary: fc.tuple(piece, fc.integer({ min: 50, max: 3000 })).map(([text, n]) => text.repeat(n)) },
);

/** `text` with something dangerous put into it. */
export const spoilt = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(text, fc.constantFrom(...dangerous), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([whole, bad, where]) => {
      const at = Math.floor(where * whole.length);
      return whole.slice(0, at) + bad + whole.slice(at);
    });

const hostileScalar = fc.oneof(
  { weight: 4, arbitrary: hostileText },
  { weight: 1, arbitrary: fc.constantFrom<unknown>(null, true, false, -0, 1e2, 1e308, -1, 0.5, 80, 65536, 257) },
);

const members = [
  'address', 'port', 'weight', 'state', 'version', 'zone', 'meta', 'owner', 'mode', 'hosts', 'paths', 'balance', 'check',
  'kind', 'interval', 'path', 'rise', 'by', 'why', 'until', 'action', '__proto__', 'constructor', 'toString', '', 'a\nb',
]; // biome-ignore format: a list of words

/** A JSON value with hostile names and values, a few levels deep. */
const hostileTree: fc.Arbitrary<unknown> = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    hostileScalar,
    fc.array(tie('tree'), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.oneof(fc.constantFrom(...members), hostileText), tie('tree')), { maxLength: 6 })
      .map((entries) => Object.fromEntries(entries)),
  ),
})).tree;

/** Text of a JSON value, or nearly one: hostile trees, deep nesting, doubled names, things after the end. */
export const hostileJson: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: hostileTree.map((tree) => JSON.stringify(tree) ?? '') },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 10, max: 20_000 }).map((n) => `{"port":${'['.repeat(n)}${']'.repeat(n)}}`),
  },
  { weight: 1, arbitrary: fc.integer({ min: 10, max: 5000 }).map((n) => `${'{"a":'.repeat(n)}1${'}'.repeat(n)}`) },
  { weight: 1, arbitrary: fc.constantFrom(...members).map((name) => `{"${name}":1,"${name}":"2"}`) },
  { weight: 1, arbitrary: hostileText.map((text) => `{"address":"10.0.0.1:80"}${text}`) },
  { weight: 1, arbitrary: fc.constantFrom('{', '[]', 'null', '"', '{"address":', '\ufeff{}', '{"port":0x50}', '{"port":080}', '{"weight":1e2,"address":"10.0.0.1:80"}') }, // biome-ignore format: one line
);
