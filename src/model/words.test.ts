import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostileText, spoilt } from '../../test/support/hostile.ts';
import { formatAddress, parseAddress, parseCidr, parseHost, parsePort } from './address.ts';
import { parseCookieName, parseHeaderName, parseHeaderValue } from './header.ts';
import { parseLabel } from './instance.ts';
import { parseInstanceId, parseServiceName } from './name.ts';
import type { Parsed } from './parsed.ts';
import { formatStatusRange, parseStatusRange } from './policy/check.ts';
import { formatDuration, parseDuration, parseSize, parseWeight, parseWhole } from './quantity.ts';
import { parseHostPattern, parsePathPrefix } from './route.ts';

const chars = (alphabet: string, least: number, most: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength: least, maxLength: most });
const lower = 'abcdefghijklmnopqrstuvwxyz';
const alnum = `${lower}${lower.toUpperCase()}0123456789`;
const begun = (first: string, rest: string, most: number) =>
  fc.tuple(fc.constantFrom(...first), chars(rest, 0, most - 1)).map(([a, b]) => a + b);

const octet = fc.integer({ min: 0, max: 255 });
const ipv4 = fc.tuple(octet, octet, octet, octet).map((parts) => parts.join('.'));
const ipv6 = fc.ipV6().filter((text) => !text.includes('.'));
const dnsLabel = fc
  .tuple(fc.constantFrom(...lower), chars(`${lower}0123456789-`, 0, 20), fc.constantFrom(...lower))
  .map((parts) => parts.join(''));
const hostName = fc.array(dnsLabel, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
const host = fc.oneof(ipv4, ipv6, hostName);
const port = fc.integer({ min: 1, max: 65535 });
const ms = fc.integer({ min: 0, max: 3660 * 86_400_000 });

type Word = {
  readonly parse: (text: string) => Parsed<unknown>;
  readonly valid: fc.Arbitrary<string>;
  /** Everything that an accepted text may be made of. */
  readonly alphabet: RegExp;
  readonly longest: number;
  /** Writes the parsed value again; the text itself if it is left out. */
  readonly format?: (value: never) => string;
};

const word = <T>(definition: Omit<Word, 'parse' | 'format'> & { parse: (text: string) => Parsed<T>; format?: (value: T) => string }): Word => definition as Word; // biome-ignore format: one line

const words: Readonly<Record<string, Word>> = {
  'a service name': word({
    parse: parseServiceName,
    valid: begun(alnum, `${alnum}._-`, 63),
    alphabet: /^[\w.-]*$/,
    longest: 63,
  }),
  'an instance id': word({
    parse: parseInstanceId,
    valid: begun(alnum, `${alnum}._:-`, 127),
    alphabet: /^[\w.:-]*$/,
    longest: 127,
  }),
  'a label': word({
    parse: parseLabel,
    valid: begun(alnum, `${alnum}._+-`, 63),
    alphabet: /^[\w.+-]*$/,
    longest: 63,
  }),
  'a host': word({
    parse: parseHost,
    valid: host,
    alphabet: /^[\w.:[\]-]*$/,
    longest: 253,
    format: (value) => value.host,
  }),
  'an address': word({
    parse: parseAddress,
    valid: fc.oneof(
      fc.tuple(ipv4, port).map(([h, p]) => `${h}:${p}`),
      fc.tuple(ipv6, port).map(([h, p]) => `[${h}]:${p}`),
      fc.tuple(hostName, port).map(([h, p]) => `${h}:${p}`),
    ),
    alphabet: /^[\w.:[\]-]*$/,
    longest: 259,
    format: formatAddress,
  }),
  'a port': word({ parse: parsePort, valid: port.map(String), alphabet: /^\d*$/, longest: 5, format: String }),
  'a weight': word({
    parse: parseWeight,
    valid: fc.integer({ min: 0, max: 256 }).map(String),
    alphabet: /^\d*$/,
    longest: 3,
    format: String,
  }),
  'a duration': word({
    parse: parseDuration,
    valid: ms.map((n) => `${n}ms`).filter((text) => text.length <= 11),
    alphabet: /^[\d.mshd]*$/,
    longest: 15,
    format: (n) => `${n}ms`,
  }),
  'a host pattern': word({
    parse: parseHostPattern,
    valid: fc.oneof(
      hostName,
      ipv4,
      hostName.map((name) => `*.${name}`),
      dnsLabel.map((name) => `${name}.*`),
      fc.constant('*'),
    ),
    alphabet: /^[a-z0-9.:*-]*$/,
    longest: 253,
  }),
  'a path prefix': word({
    parse: parsePathPrefix,
    valid: fc.array(chars(`${alnum}_~@:+-`, 0, 12), { maxLength: 6 }).map((segments) => `/${segments.join('/')}`),
    alphabet: /^[\w.~/@:+-]*$/,
    longest: 255,
  }),
  'a header name': word({
    parse: parseHeaderName,
    valid: begun(alnum, `${alnum}_-`, 64),
    alphabet: /^[\w-]*$/,
    longest: 64,
  }),
  'a cookie name': word({
    parse: parseCookieName,
    valid: begun(`${alnum}_`, `${alnum}._-`, 64),
    alphabet: /^[\w.-]*$/,
    longest: 64,
  }),
  'a header value': word({
    parse: parseHeaderValue,
    valid: fc.array(chars(`${alnum}"';%$#=/,{}`, 1, 8), { maxLength: 6 }).map((parts) => parts.join(' ')),
    alphabet: /^[\x20-\x7e\t]*$/,
    longest: 1024,
  }),
  'a network': word({
    parse: parseCidr,
    valid: fc.oneof(
      ipv4,
      ipv6,
      fc.tuple(octet, octet).map(([a, b]) => `${a}.${b}.0.0/${16}`),
      fc.integer({ min: 48, max: 128 }).map((n) => `fd00:1::/${n}`),
      fc.constantFrom('0.0.0.0/0', '::/0', '10.0.0.1/32', '10.0.0.128/25', '::ffff:10.0.0.0/104'),
    ),
    alphabet: /^[0-9a-f.:/]*$/i,
    longest: 49,
  }),
  'a status range': word({
    parse: parseStatusRange,
    valid: fc
      .tuple(fc.integer({ min: 100, max: 599 }), fc.integer({ min: 0, max: 300 }))
      .filter(([least, more]) => least + more <= 599)
      .map(([least, more]) => (more === 0 ? `${least}` : `${least}-${least + more}`)),
    alphabet: /^[\d-]*$/,
    longest: 7,
    format: formatStatusRange,
  }),
  'a size': word({
    parse: parseSize,
    valid: fc.integer({ min: 0, max: 2 ** 31 - 1 }).map(String),
    alphabet: /^[\dkmg]*$/,
    longest: 10,
    format: String,
  }),
};

/** The form of a reason: one line of printable ASCII that quotes no more of the text than fits on a screen. */
const aReason = /^[\x20-\x7e]{3,600}$/;

describe.each(Object.entries(words))('%s', (_, { parse, valid, alphabet, longest, format }) => {
  test('is accepted in each valid form, and written again as it was', () => {
    fc.assert(
      fc.property(valid, (text) => {
        const parsed = parse(text);
        if (!parsed.ok) throw new Error(parsed.reason);
        expect(format === undefined ? parsed.value : format(parsed.value as never)).toBe(text);
      }),
    );
  });

  test('is nothing else: whatever is accepted is made of its letters, and what is refused has a reason', () => {
    fc.assert(
      fc.property(fc.oneof(hostileText, spoilt(valid)), (text) => {
        const parsed = parse(text);
        if (parsed.ok) {
          expect(text).toMatch(alphabet);
          expect(text.length).toBeLessThanOrEqual(longest);
        } else expect(parsed.reason).toMatch(aReason);
      }),
      { numRuns: 2000 },
    );
  });

  test('is not found in what is a million characters long, and that costs no time', () => {
    for (const unit of ['a', '1', '.', ':', 'a.', '1.', ':1', '/', 'a-', ' ', '*.', '0', '[', '%', '\u0430']) {
      const huge = unit.repeat(1_000_000 / unit.length);
      for (const text of [huge, `/${huge}`, `[${huge}]:80`, `a${huge}\n`]) expect(parse(text).ok).toBe(false);
    }
  });
});

describe('what other programs take', () => {
  test.each([
    ['1e2', parsePort],
    ['0x50', parsePort],
    ['080', parsePort],
    ['-0', parseWeight],
    ['+1', parseWeight],
    ['007', parseWeight],
    ['８０', parsePort],
    ['0', parsePort],
    ['65536', parsePort],
    ['4294967376', parsePort],
    ['257', parseWeight],
    ['010.0.0.1', parseHost],
    ['10.0.0.256', parseHost],
    ['1.2.3', parseHost],
    ['2130706433', parseHost],
    ['0x7f000001', parseHost],
    ['0x7f.1', parseHost],
    ['example.0x', parseHost],
    ['fe80::1%eth0', parseHost],
    ['[::1', parseHost],
    ['-a.example', parseHost],
    ['a..b', parseHost],
    ['a.', parseHost],
    ['::1:80', parseAddress],
    ['10.0.0.1:', parseAddress],
    [':80', parseAddress],
    ['unix@/run/x:80', parseAddress],
    ['ipv4@10.0.0.1:80', parseAddress],
    ['user@10.0.0.1:80', parseAddress],
    ['10', parseDuration],
    ['010s', parseDuration],
    ['1e3ms', parseDuration],
    ['-1s', parseDuration],
    ['3661d', parseDuration],
    ['Shop.example.com', parseHostPattern],
    ['*.*', parseHostPattern],
    ['a.*.b', parseHostPattern],
    ['*.10.0.0.1', parseHostPattern],
    ['[::1]', parseHostPattern],
    ['ѕhop.example.com', parseHostPattern],
    ['/a/../b', parsePathPrefix],
    ['/.', parsePathPrefix],
    ['/a%2e', parsePathPrefix],
    ['a', parsePathPrefix],
    ['10.0.0.1/8', parseCidr],
    ['10.0.0.0/33', parseCidr],
    ['10.0.0.0/08', parseCidr],
    ['::1/64', parseCidr],
    ['10.0.0.0/8/8', parseCidr],
    ['399-200', parseStatusRange],
    ['99', parseStatusRange],
    ['2g', parseSize],
    ['01k', parseSize],
    ['1.5m', parseSize],
    ['a\tb ', parseHeaderValue],
    ['a\r\nSet-Cookie: x', parseHeaderValue],
  ] as [string, (text: string) => Parsed<unknown>][])('%j is refused', (text, parse) => {
    expect(parse(text).ok).toBe(false);
  });

  test('a JSON number is taken by its value', () => {
    const range = { least: 0, most: 100 };
    const one = (value: number) => parseWhole(value, range);
    expect(one(1e2)).toEqual({ ok: true, value: 100 });
    expect(Object.is((one(-0) as { value: number }).value, 0)).toBe(true);
    for (const bad of [0.5, -1, 101, Number.NaN, Number.POSITIVE_INFINITY]) expect(one(bad).ok).toBe(false);
  });

  test('a duration is read to the ms, and said as a person says it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 59 }), fc.constantFrom('s', 'm', 'h'), (n, unit) => {
        const parsed = parseDuration(`${n}${unit}`);
        expect(parsed.ok && n < (unit === 'h' ? 24 : 60) ? formatDuration(parsed.value) : `${n}${unit}`).toBe(
          `${n}${unit}`,
        );
      }),
    );
  });
});
