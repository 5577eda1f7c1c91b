import type { Bytes } from '../../go-template/bytes.ts';
import {
  byteList,
  bytesOfList,
  GoError,
  GoFunction,
  GoInteger,
  GoList,
  GoStruct,
  type GoType,
  type GoValue,
  integerOf,
} from '../../go-template/value.ts';
import { daysOf } from './civil-date.ts';
import { clamped, durationType, goDuration } from './duration.ts';
import { clockOf, formatTime, months, secondsOf, weekdays } from './time-format.ts';
import { utc, type Zone } from './zone.ts';

/** A reading of the clocks, in nanoseconds. */
export type Instant = {
  /** Since 1970. */
  readonly unix: bigint;
  /** Since this process began, by a clock that nobody sets. Go prints it and measures with it until a time is moved. */
  readonly monotonic?: bigint | undefined;
};

const timeType = 'time.Time';
const locationType = '*time.Location';
const second = 1_000_000_000n;
/** From the year 1, at which Go's zero time is, to 1970. */
const yearOne = 62_135_596_800n * second;
const rfc3339 = '2006-01-02T15:04:05.999999999Z07:00';

/** Divided and rounded down. */
const floor = (value: bigint, by: bigint): bigint => (value - (((value % by) + by) % by)) / by;
const int64 = (value: bigint): GoInteger => new GoInteger('int64', value);
const method = (run: () => GoValue): GoFunction => new GoFunction([], run);
const of = (params: readonly GoType[], run: (...args: readonly GoValue[]) => GoValue): GoFunction =>
  new GoFunction(params, (args) => run(...args));
/** A method whose results a template cannot take. */
const several = (name: string, count: number): GoFunction =>
  method(() => {
    throw new GoError(`can't call method/function "${name}" with ${count} results`);
  });

/** A time.Month or a time.Weekday: a number that is printed as its name. */
function named(type: GoType, value: number, names: readonly string[], first: number): GoInteger {
  const text = (): Bytes => names[value - first] ?? '';
  return new GoInteger(type, BigInt(value), { text, method: (name) => (name === 'String' ? method(text) : undefined) });
}

/** A zone as a template has it. */
class GoLocation extends GoStruct {
  readonly zone: Zone;
  constructor(zone: Zone) {
    const text = (): Bytes => zone.name;
    super(locationType, new Map([['name', zone.name]]), {
      text,
      method: (name) => (name === 'String' ? method(text) : undefined),
    });
    this.zone = zone;
  }
}

/** Go's time.Time with its methods. `local` is the zone of the machine. */
class GoTime extends GoStruct {
  readonly instant: Instant;

  constructor(instant: Instant, zone: Zone, local: Zone) {
    const location = new GoLocation(zone);
    const fields = new Map<string, GoValue>([
      ['wall', new GoInteger('uint64', instant.unix - floor(instant.unix, second) * second)],
      ['ext', int64(instant.monotonic ?? floor(instant.unix + yearOne, second))],
      ['loc', location],
    ]);
    let made: ReadonlyMap<string, GoFunction> | undefined;
    const methods = () => {
      made ??= new Map([
        ...clockMethods(instant, zone),
        ...changingMethods(instant, zone, local),
        ...comparing(instant),
      ]);
      return made;
    };
    super(timeType, fields, {
      text: () => textOf(instant, zone),
      goText: () => goSyntax(instant, zone, local),
      method: (name) => methods().get(name),
    });
    this.instant = instant;
  }
}

/** The time of the machine's clocks, in its zone. */
export const goTime = (instant: Instant, local: Zone): GoStruct => new GoTime(instant, local, local);

function textOf({ unix, monotonic }: Instant, zone: Zone): Bytes {
  const text = formatTime(clockOf(unix, zone), '2006-01-02 15:04:05.999999999 -0700 MST');
  if (monotonic === undefined) return text;
  const size = monotonic < 0n ? -monotonic : monotonic;
  return `${text} m=${monotonic < 0n ? '-' : '+'}${size / second}.${String(size % second).padStart(9, '0')}`;
}

function goSyntax({ unix }: Instant, zone: Zone, local: Zone): Bytes {
  const { year, month, day, hour, minute, second: seconds, nanosecond } = clockOf(unix, zone);
  const where = zone === utc ? 'time.UTC' : zone === local ? 'time.Local' : `time.Location("${zone.name}")`;
  const numbers = [day, hour, minute, seconds, nanosecond].join(', ');
  return `time.Date(${year}, time.${months[month - 1]}, ${numbers}, ${where})`;
}

/** The methods that read a clock. */
function clockMethods({ unix }: Instant, zone: Zone): readonly (readonly [string, GoFunction])[] {
  const clock = clockOf(unix, zone);
  const int = (value: number) => method(() => BigInt(value));
  const append = (list: GoValue, layout: GoValue) =>
    byteList((list instanceof GoList ? (bytesOfList(list) ?? '') : '') + formatTime(clock, String(layout)));
  const rfc = (name: string): Bytes => {
    if (clock.year < 0 || clock.year >= 10_000) throw new GoError(`Time.${name}: year outside of range [0,9999]`);
    return formatTime(clock, rfc3339);
  };
  return [
    ['AppendFormat', of(['[]uint8', 'string'], append)],
    ['Clock', several('Clock', 3)],
    ['Date', several('Date', 3)],
    ['Day', int(clock.day)],
    ['Format', of(['string'], (layout) => formatTime(clock, String(layout)))],
    ['Hour', int(clock.hour)],
    ['ISOWeek', several('ISOWeek', 2)],
    ['IsDST', method(() => clock.offset.isDst)],
    ['MarshalJSON', method(() => byteList(`"${rfc('MarshalJSON')}"`))],
    ['MarshalText', method(() => byteList(rfc('MarshalText')))],
    ['Minute', int(clock.minute)],
    ['Month', method(() => named('time.Month', clock.month, months, 1))],
    ['Nanosecond', int(clock.nanosecond)],
    ['Second', int(clock.second)],
    ['Weekday', method(() => named('time.Weekday', clock.weekday, weekdays, 0))],
    ['Year', int(clock.year)],
    ['YearDay', int(clock.yearDay)],
    ['Zone', several('Zone', 2)],
  ];
}

/** The time at which a clock of the zone shows this. */
function unixOf(local: bigint, zone: Zone): bigint {
  const guess = zone.at(secondsOf(local)).seconds;
  if (guess === 0) return local;
  const { seconds } = zone.at(secondsOf(local) - guess);
  return local - BigInt(seconds) * second;
}

/** The rest of a time since the year 1 divided by a duration. */
function restOf(unix: bigint, by: bigint): bigint {
  const rest = (unix + yearOne) % by;
  return rest < 0n ? rest + by : rest;
}

/** The methods that give another time, or the time in another form. */
function changingMethods(instant: Instant, zone: Zone, local: Zone): readonly (readonly [string, GoFunction])[] {
  const { unix, monotonic } = instant;
  const at = (moved: bigint, other = zone) => new GoTime({ unix: moved }, other, local);
  const add = (value: GoValue): GoValue => {
    const by = integerOf(value) ?? 0n;
    return new GoTime(
      { unix: unix + by, monotonic: monotonic === undefined ? undefined : monotonic + by },
      zone,
      local,
    );
  };
  const addDate = (...by: readonly GoValue[]): GoValue => {
    const [years = 0, more = 0, days = 0] = by.map((value) => Number(integerOf(value) ?? 0n));
    const clock = clockOf(unix, zone);
    const date = daysOf(clock.year + years, clock.month + more, clock.day + days);
    const seconds = date * 86_400 + clock.hour * 3600 + clock.minute * 60 + clock.second;
    return at(unixOf(BigInt(seconds) * second + BigInt(clock.nanosecond), zone));
  };
  const truncate = (value: GoValue): GoValue => {
    const to = integerOf(value) ?? 0n;
    return at(to <= 0n ? unix : unix - restOf(unix, to));
  };
  const round = (value: GoValue): GoValue => {
    const to = integerOf(value) ?? 0n;
    if (to <= 0n) return at(unix);
    const rest = restOf(unix, to);
    return at(rest + rest < to ? unix - rest : unix + to - rest);
  };
  return [
    ['Add', of([durationType], add)],
    ['AddDate', of(['int', 'int', 'int'], addDate)],
    ['GoString', method(() => goSyntax(instant, zone, local))],
    ['In', of([locationType], (other) => at(unix, other instanceof GoLocation ? other.zone : utc))],
    ['Local', method(() => at(unix, local))],
    ['Location', method(() => new GoLocation(zone))],
    ['Round', of([durationType], round)],
    ['String', method(() => textOf(instant, zone))],
    ['Truncate', of([durationType], truncate)],
    ['UTC', method(() => at(unix, utc))],
    ['Unix', method(() => int64(floor(unix, second)))],
    ['UnixMicro', method(() => int64(floor(unix, 1000n)))],
    ['UnixMilli', method(() => int64(floor(unix, 1_000_000n)))],
    ['UnixNano', method(() => int64(BigInt.asIntN(64, unix)))],
  ];
}

/** The methods that compare two times. */
function comparing(instant: Instant): readonly (readonly [string, GoFunction])[] {
  /** By which this time is later. */
  const later = (other: GoValue): bigint => {
    if (!(other instanceof GoTime)) return 0n;
    const { unix, monotonic } = other.instant;
    return monotonic !== undefined && instant.monotonic !== undefined
      ? instant.monotonic - monotonic
      : instant.unix - unix;
  };
  const compared = (is: (difference: bigint) => GoValue) => of([timeType], (other) => is(later(other)));
  return [
    ['After', compared((difference) => difference > 0n)],
    ['Before', compared((difference) => difference < 0n)],
    ['Equal', compared((difference) => difference === 0n)],
    ['IsZero', method(() => instant.unix === -yearOne)],
    ['Sub', compared((difference) => goDuration(clamped(difference)))],
  ];
}
