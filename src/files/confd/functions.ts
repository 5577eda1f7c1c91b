import { type Bytes, bytesOf, charactersOf, textOf, validBytes } from '../../go-template/bytes.ts';
import { quote } from '../../go-template/quote.ts';
import {
  anyType,
  GoError,
  GoFunction,
  GoInteger,
  GoList,
  GoMap,
  GoStruct,
  type GoType,
  type GoValue,
  integer,
} from '../../go-template/value.ts';
import { forkFunctions } from './fork-functions.ts';
import { toLower, toUpper } from './go-case.ts';
import { parseJson } from './go-json.ts';
import { base, dir } from './go-path.ts';
import { goSort } from './go-sort.ts';
import { goString, rawTextOf } from './go-string.ts';
import { goTime, type Instant } from './go-time.ts';
import { pairType } from './store.ts';
import type { Zone } from './zone.ts';

/** A record of a lookup of services. */
export type ServiceRecord = {
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
};

/** What confd's functions ask of the machine. A lookup that has no answer gives an empty list. */
export type ConfdHost = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly now: () => Instant;
  /** The zone of the machine. */
  readonly zone: () => Zone;
  readonly fileExists: (path: Bytes) => boolean;
  readonly addressesOf: (name: string) => readonly string[];
  readonly servicesOf: (name: string) => readonly ServiceRecord[];
  /** The addresses of a network interface, in the order of the system. */
  readonly interfaceAddresses: (name: string) => readonly string[];
  readonly hostname: () => string;
};

/** No template makes a list longer than this. */
const longestSequence = 10_000_000n;

const strings = (list: readonly Bytes[]): GoList => new GoList('string', [...list]);
const orNil = (list: readonly Bytes[]): GoList => new GoList('string', [...list], '[]string', list.length === 0);
const sorted = (list: readonly Bytes[]): Bytes[] => [...list].sort();

type Run = (...args: readonly Bytes[]) => GoValue;
/** A function of strings. */
const ofStrings = (count: number, run: Run): GoFunction =>
  new GoFunction(
    Array.from({ length: count }, () => 'string'),
    (args) => run(...args.map(String)),
  );
const ofIntegers = (run: (a: bigint, b: bigint) => GoValue): GoFunction =>
  new GoFunction(['int', 'int'], ([a, b]) => run(a as bigint, b as bigint));

function mapOf(values: readonly GoValue[]): GoMap {
  if (values.length % 2 !== 0) throw new GoError('invalid map call');
  const entries = new Map<Bytes, GoValue>();
  for (let i = 0; i < values.length; i += 2) {
    const key = values[i];
    if (typeof key !== 'string') throw new GoError('map keys must be strings');
    entries.set(key, values[i + 1] ?? null);
  }
  return new GoMap(anyType, entries);
}

function split(text: Bytes, separator: Bytes): GoList {
  if (separator !== '') return strings(text.split(separator));
  const characters = charactersOf(text);
  // Go leaves the last one as it is.
  return strings(characters.map((one, i) => (i < characters.length - 1 ? validBytes(one) : one)));
}

function replace(text: Bytes, old: Bytes, by: Bytes, count: number): Bytes {
  const parts = old === '' ? ['', ...charactersOf(text), ''] : text.split(old);
  const most = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  let out = parts[0] ?? '';
  for (const [i, part] of parts.slice(1).entries()) out += (i < most ? by : old) + part;
  return out;
}

function decodeBase64(data: Bytes): Bytes {
  const bare = data.replace(/[\r\n]/g, '');
  const good = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?/.exec(bare)?.[0] ?? '';
  if (good.length < bare.length) throw new GoError(`illegal base64 data at input byte ${good.length}`);
  return Buffer.from(bare, 'base64').toString('latin1');
}

function atoi(text: Bytes): GoValue {
  const fail = (why: string) => new GoError(`strconv.Atoi: parsing ${quote(text)}: ${why}`);
  if (!/^[+-]?[0-9]+$/.test(text)) throw fail('invalid syntax');
  const value = BigInt(text.replace(/^\+/, ''));
  if (BigInt.asIntN(64, value) !== value) throw fail('value out of range');
  return value;
}

function parseBool(text: Bytes): GoValue {
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw new GoError(`strconv.ParseBool: parsing ${quote(text)}: invalid syntax`);
}

function sequence(first: bigint, last: bigint): GoList {
  if (last - first >= longestSequence) throw new GoError(`a sequence of more than ${longestSequence} numbers`);
  const items: GoValue[] = [];
  for (let i = first; i <= last; i++) items.push(i);
  return new GoList('int', items, '[]int', items.length === 0);
}

/** In place, as confd does; the named list that `gets` gives stays as it is. */
function reverse(value: GoValue): GoValue {
  if (value instanceof GoList && (value.type === '[]string' || value.type === `[]${pairType}`)) value.items.reverse();
  return value;
}

const lengthOf = (value: GoValue): number =>
  value instanceof GoStruct ? String(value.fields.get('Key')).length : String(value).length;

/** In place, too. Equal lengths have the order that Go's sort leaves them in. */
function sortByLength(value: GoValue, type: GoType): GoValue {
  if (!(value instanceof GoList)) return value;
  goSort(value.items, (a, b) => lengthOf(a) < lengthOf(b));
  return value.type === type ? value : new GoList(value.element, value.items, type);
}

const divide = (run: (a: bigint, b: bigint) => bigint) =>
  ofIntegers((a, b) => {
    if (b === 0n) throw new GoError('runtime error: integer divide by zero');
    return integer('int', run(a, b));
  });

const isV4 = (address: string): boolean => address.includes('.');
const isV6 = (address: string): boolean => address.includes(':');

function serviceRecords(records: readonly ServiceRecord[]): GoList {
  const text = ({ target, port, priority, weight }: ServiceRecord) => `${target}${port}${priority}${weight}`;
  const inOrder = [...records].sort((a, b) => (text(a) < text(b) ? -1 : 1));
  const structs = inOrder.map(
    ({ target, port, priority, weight }) =>
      new GoStruct(
        '*net.SRV',
        new Map<string, GoValue>([
          ['Target', bytesOf(target)],
          ['Port', new GoInteger('uint16', BigInt(port))],
          ['Priority', new GoInteger('uint16', BigInt(priority))],
          ['Weight', new GoInteger('uint16', BigInt(weight))],
        ]),
      ),
  );
  return new GoList('*net.SRV', structs);
}

/** The name of the service record that lookupSRV asks for. */
const serviceName = (service: string, protocol: string, name: string): string =>
  service === '' && protocol === '' ? name : `_${service}._${protocol}.${name}`;

/** The functions of confd that do not read its store. */
export function confdFunctions(host: ConfdHost): ReadonlyMap<string, GoFunction> {
  const addresses = (accepts: (address: string) => boolean) =>
    ofStrings(1, (name = '') => orNil(sorted(host.addressesOf(textOf(name)).filter(accepts).map(bytesOf))));
  const ofInterface = (accepts: (address: string) => boolean) =>
    ofStrings(1, (name = '') => bytesOf(host.interfaceAddresses(textOf(name)).find(accepts) ?? ''));
  const environment = (name: Bytes, fallback: Bytes): Bytes =>
    goString(host.environment[rawTextOf(name)] ?? '') || fallback;
  return new Map([
    ...forkFunctions,
    ['add', ofIntegers((a, b) => integer('int', a + b))],
    ['atoi', ofStrings(1, (text = '') => atoi(text))],
    ['base', ofStrings(1, (path = '') => base(path))],
    ['base64Decode', ofStrings(1, (data = '') => decodeBase64(data))],
    ['base64Encode', ofStrings(1, (data = '') => Buffer.from(data, 'latin1').toString('base64'))],
    ['contains', ofStrings(2, (text = '', part = '') => text.includes(part))],
    ['datetime', new GoFunction([], () => goTime(host.now(), host.zone()))],
    ['dir', ofStrings(1, (path = '') => dir(path))],
    ['dict', new GoFunction([], mapOf, anyType)],
    ['div', divide((a, b) => a / b)],
    ['fileExists', ofStrings(1, (path = '') => host.fileExists(path))],
    ['getenv', new GoFunction(['string'], ([name, value = '']) => environment(String(name), String(value)), 'string')],
    ['hostname', new GoFunction([], () => bytesOf(host.hostname()))],
    ['join', new GoFunction(['[]string', 'string'], ([list, by]) => joined(list, String(by)))],
    ['json', ofStrings(1, (data = '') => parseJson(data, `map[string]${anyType}`))],
    ['jsonArray', ofStrings(1, (data = '') => parseJson(data, `[]${anyType}`))],
    ['lookupIP', addresses(() => true)],
    ['lookupIPV4', addresses(isV4)],
    ['lookupIPV6', addresses(isV6)],
    ['lookupIfaceIPV4', ofInterface(isV4)],
    ['lookupIfaceIPV6', ofInterface(isV6)],
    ['lookupSRV', ofStrings(3, (...name) => serviceRecords(host.servicesOf(srvName(name))))],
    ['map', new GoFunction([], mapOf, anyType)],
    ['mod', divide((a, b) => a % b)],
    ['mul', ofIntegers((a, b) => integer('int', a * b))],
    ['parseBool', ofStrings(1, (text = '') => parseBool(text))],
    [
      'replace',
      new GoFunction(['string', 'string', 'string', 'int'], ([text, old, by, count]) =>
        replace(String(text), String(old), String(by), Number(count)),
      ),
    ],
    ['reverse', new GoFunction([anyType], ([value]) => reverse(value))],
    ['seq', ofIntegers(sequence)],
    ['sortByLength', new GoFunction(['[]string'], ([list]) => sortByLength(list, '[]string'))],
    ['sortKVByLength', new GoFunction([`[]${pairType}`], ([list]) => sortByLength(list, `[]${pairType}`))],
    ['split', ofStrings(2, (text = '', separator = '') => split(text, separator))],
    ['sub', ofIntegers((a, b) => integer('int', a - b))],
    ['toLower', ofStrings(1, (text = '') => toLower(text))],
    ['toUpper', ofStrings(1, (text = '') => toUpper(text))],
    [
      'trimSuffix',
      ofStrings(2, (text = '', end = '') => (text.endsWith(end) ? text.slice(0, text.length - end.length) : text)),
    ],
  ]);
}

const joined = (list: GoValue, by: Bytes): Bytes => (list instanceof GoList ? list.items.join(by) : '');
const srvName = ([service = '', protocol = '', name = '']: readonly Bytes[]): string =>
  serviceName(textOf(service), textOf(protocol), textOf(name));
