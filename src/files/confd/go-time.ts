import { type Bytes, textOf } from '../../go-template/bytes.ts';
import { GoFunction, GoStruct } from '../../go-template/value.ts';

const months = 'January February March April May June July August September October November December'.split(' ');
const weekdays = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
const two = (value: number): string => String(value).padStart(2, '0');

/** The offset from UTC as Go prints it: `+0200`, `+02:00`. */
function offset(time: Date, colon: boolean): string {
  const minutes = -time.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.trunc(size / 60))}${colon ? ':' : ''}${two(size % 60)}`;
}

const isUtc = (time: Date): boolean => time.getTimezoneOffset() === 0;

function zoneName(time: Date): string {
  if (isUtc(time)) return 'UTC';
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(time);
  const name = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  return /^[A-Z]{3,5}$/.test(name) ? name : offset(time, false);
}

const yearDay = (time: Date): number =>
  Math.round(
    (Date.UTC(time.getFullYear(), time.getMonth(), time.getDate()) - Date.UTC(time.getFullYear(), 0, 1)) / 86_400_000,
  ) + 1;

const hour12 = (time: Date): number => time.getHours() % 12 || 12;

/** The elements of Go's layouts, longer ones first. */
const elements: readonly (readonly [string, (time: Date) => string])[] = [
  ['January', (time) => months[time.getMonth()] ?? ''],
  ['Monday', (time) => weekdays[time.getDay()] ?? ''],
  ['Z07:00', (time) => (isUtc(time) ? 'Z' : offset(time, true))],
  ['-07:00', (time) => offset(time, true)],
  ['Z0700', (time) => (isUtc(time) ? 'Z' : offset(time, false))],
  ['-0700', (time) => offset(time, false)],
  ['2006', (time) => String(time.getFullYear()).padStart(4, '0')],
  ['Jan', (time) => (months[time.getMonth()] ?? '').slice(0, 3)],
  ['Mon', (time) => (weekdays[time.getDay()] ?? '').slice(0, 3)],
  ['MST', zoneName],
  ['-07', (time) => offset(time, false).slice(0, 3)],
  ['002', (time) => String(yearDay(time)).padStart(3, '0')],
  ['01', (time) => two(time.getMonth() + 1)],
  ['02', (time) => two(time.getDate())],
  ['03', (time) => two(hour12(time))],
  ['04', (time) => two(time.getMinutes())],
  ['05', (time) => two(time.getSeconds())],
  ['06', (time) => two(time.getFullYear() % 100)],
  ['15', (time) => two(time.getHours())],
  ['PM', (time) => (time.getHours() < 12 ? 'AM' : 'PM')],
  ['pm', (time) => (time.getHours() < 12 ? 'am' : 'pm')],
  ['_2', (time) => String(time.getDate()).padStart(2, ' ')],
  ['1', (time) => String(time.getMonth() + 1)],
  ['2', (time) => String(time.getDate())],
  ['3', (time) => String(hour12(time))],
  ['4', (time) => String(time.getMinutes())],
  ['5', (time) => String(time.getSeconds())],
];

const fraction = /^[.,](0+|9+)(?![0-9])/;

/** A time in a layout of Go: `2006-01-02T15:04:05Z07:00`. */
function format(time: Date, layout: string): string {
  let out = '';
  for (let at = 0; at < layout.length; ) {
    const rest = layout.slice(at);
    const [all, digits] = fraction.exec(rest) ?? [];
    if (all !== undefined && digits !== undefined) {
      const nanoseconds = String(time.getMilliseconds()).padStart(3, '0').padEnd(9, '0').slice(0, digits.length);
      const shown = digits.startsWith('9') ? nanoseconds.replace(/0+$/, '') : nanoseconds;
      out += shown === '' ? '' : `${all.charAt(0)}${shown}`;
      at += all.length;
      continue;
    }
    const element = elements.find(([text]) => rest.startsWith(text));
    out += element === undefined ? layout.charAt(at) : element[1](time);
    at += element?.[0].length ?? 1;
  }
  return out;
}

const method = (run: () => bigint | Bytes | GoStruct): GoFunction => new GoFunction([], run);

/** Go's time.Time with the methods that templates use. Node knows milliseconds, so further digits are 0. */
export function goTime(time: Date): GoStruct {
  const int = (value: number) => method(() => BigInt(value));
  return new GoStruct(
    'time.Time',
    new Map(),
    new Map([
      ['Format', new GoFunction(['string'], ([layout]) => format(time, textOf(String(layout))))],
      ['Unix', method(() => BigInt(Math.floor(time.getTime() / 1000)))],
      ['UnixNano', method(() => BigInt(time.getTime()) * 1_000_000n)],
      ['Year', int(time.getFullYear())],
      ['Month', method(() => months[time.getMonth()] ?? '')],
      ['Day', int(time.getDate())],
      ['YearDay', int(yearDay(time))],
      ['Weekday', method(() => weekdays[time.getDay()] ?? '')],
      ['Hour', int(time.getHours())],
      ['Minute', int(time.getMinutes())],
      ['Second', int(time.getSeconds())],
      ['String', method(() => format(time, '2006-01-02 15:04:05.999999999 -0700 MST'))],
    ]),
    () => format(time, '2006-01-02 15:04:05.999999999 -0700 MST'),
  );
}
