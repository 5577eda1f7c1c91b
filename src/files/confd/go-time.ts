import { textOf } from '../../go-template/bytes.ts';
import { GoFunction, GoInteger, GoStruct, type GoValue } from '../../go-template/value.ts';

const months = 'January February March April May June July August September October November December'.split(' ');
const weekdays = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
const two = (value: number): string => String(value).padStart(2, '0');

/** A time as a clock of its zone shows it: the fields of `shown` in UTC are those of that clock. */
type Clock = { readonly time: Date; readonly shown: Date; readonly minutes: number };

function clockOf(time: Date, utc: boolean): Clock {
  const minutes = utc ? 0 : -time.getTimezoneOffset();
  return { time, shown: new Date(time.getTime() + minutes * 60_000), minutes };
}

/** The offset from UTC as Go prints it: `+0200`, `+02:00`. */
function offset({ minutes }: Clock, colon: boolean): string {
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.trunc(size / 60))}${colon ? ':' : ''}${two(size % 60)}`;
}

const isUtc = ({ minutes }: Clock): boolean => minutes === 0;

function zoneName(clock: Clock): string {
  if (isUtc(clock)) return 'UTC';
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(clock.time);
  const name = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  return /^[A-Z]{3,5}$/.test(name) ? name : offset(clock, false);
}

const yearDay = ({ shown }: Clock): number =>
  Math.round(
    (Date.UTC(shown.getUTCFullYear(), shown.getUTCMonth(), shown.getUTCDate()) -
      Date.UTC(shown.getUTCFullYear(), 0, 1)) /
      86_400_000,
  ) + 1;

const hour12 = ({ shown }: Clock): number => shown.getUTCHours() % 12 || 12;

/** The elements of Go's layouts, longer ones first. */
const elements: readonly (readonly [string, (clock: Clock) => string])[] = [
  ['January', ({ shown }) => months[shown.getUTCMonth()] ?? ''],
  ['Monday', ({ shown }) => weekdays[shown.getUTCDay()] ?? ''],
  ['Z07:00', (clock) => (isUtc(clock) ? 'Z' : offset(clock, true))],
  ['-07:00', (clock) => offset(clock, true)],
  ['Z0700', (clock) => (isUtc(clock) ? 'Z' : offset(clock, false))],
  ['-0700', (clock) => offset(clock, false)],
  ['2006', ({ shown }) => String(shown.getUTCFullYear()).padStart(4, '0')],
  ['Jan', ({ shown }) => (months[shown.getUTCMonth()] ?? '').slice(0, 3)],
  ['Mon', ({ shown }) => (weekdays[shown.getUTCDay()] ?? '').slice(0, 3)],
  ['MST', zoneName],
  ['-07', (clock) => offset(clock, false).slice(0, 3)],
  ['002', (clock) => String(yearDay(clock)).padStart(3, '0')],
  ['01', ({ shown }) => two(shown.getUTCMonth() + 1)],
  ['02', ({ shown }) => two(shown.getUTCDate())],
  ['03', (clock) => two(hour12(clock))],
  ['04', ({ shown }) => two(shown.getUTCMinutes())],
  ['05', ({ shown }) => two(shown.getUTCSeconds())],
  ['06', ({ shown }) => two(shown.getUTCFullYear() % 100)],
  ['15', ({ shown }) => two(shown.getUTCHours())],
  ['PM', ({ shown }) => (shown.getUTCHours() < 12 ? 'AM' : 'PM')],
  ['pm', ({ shown }) => (shown.getUTCHours() < 12 ? 'am' : 'pm')],
  ['_2', ({ shown }) => String(shown.getUTCDate()).padStart(2, ' ')],
  ['1', ({ shown }) => String(shown.getUTCMonth() + 1)],
  ['2', ({ shown }) => String(shown.getUTCDate())],
  ['3', (clock) => String(hour12(clock))],
  ['4', ({ shown }) => String(shown.getUTCMinutes())],
  ['5', ({ shown }) => String(shown.getUTCSeconds())],
];

const fraction = /^[.,](0+|9+)(?![0-9])/;

/** A time in a layout of Go: `2006-01-02T15:04:05Z07:00`. */
function format(clock: Clock, layout: string): string {
  let out = '';
  for (let at = 0; at < layout.length; ) {
    const rest = layout.slice(at);
    const [all, digits] = fraction.exec(rest) ?? [];
    if (all !== undefined && digits !== undefined) {
      const nanoseconds = String(clock.shown.getUTCMilliseconds())
        .padStart(3, '0')
        .padEnd(9, '0')
        .slice(0, digits.length);
      const shown = digits.startsWith('9') ? nanoseconds.replace(/0+$/, '') : nanoseconds;
      out += shown === '' ? '' : `${all.charAt(0)}${shown}`;
      at += all.length;
      continue;
    }
    const element = elements.find(([text]) => rest.startsWith(text));
    out += element === undefined ? layout.charAt(at) : element[1](clock);
    at += element?.[0].length ?? 1;
  }
  return out;
}

const method = (run: () => GoValue): GoFunction => new GoFunction([], run);

/** Go's time.Time with the methods that templates use. Node knows milliseconds, so further digits are 0. */
export function goTime(time: Date, utc = false): GoStruct {
  const clock = clockOf(time, utc);
  const { shown } = clock;
  const int = (value: number) => method(() => BigInt(value));
  const text = () => format(clock, '2006-01-02 15:04:05.999999999 -0700 MST');
  const later = ([years, months, days]: readonly GoValue[]): GoStruct => {
    const moved = new Date(time);
    moved.setFullYear(
      moved.getFullYear() + Number(years),
      moved.getMonth() + Number(months),
      moved.getDate() + Number(days),
    );
    return goTime(moved, utc);
  };
  return new GoStruct(
    'time.Time',
    new Map(),
    new Map([
      ['AddDate', new GoFunction(['int', 'int', 'int'], later)],
      ['Format', new GoFunction(['string'], ([layout]) => format(clock, textOf(String(layout))))],
      ['Local', method(() => goTime(time))],
      ['UTC', method(() => goTime(time, true))],
      ['Unix', method(() => new GoInteger('int64', BigInt(Math.floor(time.getTime() / 1000))))],
      ['UnixMilli', method(() => new GoInteger('int64', BigInt(time.getTime())))],
      ['UnixNano', method(() => new GoInteger('int64', BigInt(time.getTime()) * 1_000_000n))],
      ['Year', int(shown.getUTCFullYear())],
      ['Month', method(() => months[shown.getUTCMonth()] ?? '')],
      ['Day', int(shown.getUTCDate())],
      ['YearDay', int(yearDay(clock))],
      ['Weekday', method(() => weekdays[shown.getUTCDay()] ?? '')],
      ['Hour', int(shown.getUTCHours())],
      ['Minute', int(shown.getUTCMinutes())],
      ['Second', int(shown.getUTCSeconds())],
      ['Nanosecond', int(shown.getUTCMilliseconds() * 1_000_000)],
      ['String', method(text)],
    ]),
    text,
  );
}
