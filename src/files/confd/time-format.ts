import { type Bytes, bytesOf } from '../../go-template/bytes.ts';
import { dateOf, daysOf, weekdayOf } from './civil-date.ts';
import type { Zone, ZoneOffset } from './zone.ts';

export const months = 'January February March April May June July August September October November December'.split(
  ' ',
);
export const weekdays = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** A time as a clock of its zone shows it. */
export type Clock = {
  readonly year: number;
  /** 1 is January. */
  readonly month: number;
  readonly day: number;
  readonly yearDay: number;
  /** 0 is Sunday. */
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly nanosecond: number;
  readonly offset: ZoneOffset;
};

const perSecond = 1_000_000_000n;
const secondsOfDay = 86_400;

/** Whole seconds of a time in nanoseconds since 1970. */
export const secondsOf = (nanoseconds: bigint): number =>
  Number((nanoseconds - (((nanoseconds % perSecond) + perSecond) % perSecond)) / perSecond);

/** What a clock of the zone shows at a time in nanoseconds since 1970. */
export function clockOf(nanoseconds: bigint, zone: Zone): Clock {
  const unix = secondsOf(nanoseconds);
  const offset = zone.at(unix);
  const local = unix + offset.seconds;
  const days = Math.floor(local / secondsOfDay);
  const ofDay = local - days * secondsOfDay;
  const date = dateOf(days);
  return {
    ...date,
    yearDay: days - daysOf(date.year, 1, 1) + 1,
    weekday: weekdayOf(days),
    hour: Math.floor(ofDay / 3600),
    minute: Math.floor(ofDay / 60) % 60,
    second: ofDay % 60,
    nanosecond: Number(nanoseconds - BigInt(unix) * perSecond),
    offset,
  };
}

/** As Go writes a number with at least so many digits. */
const padded = (value: number, width: number): string =>
  `${value < 0 ? '-' : ''}${String(Math.abs(value)).padStart(width, '0')}`;
const two = (value: number): string => padded(value, 2);

/** `+0200`: with a colon, with seconds, or the hours only. */
function offsetText({ offset }: Clock, form: string): string {
  const minutes = Math.trunc(offset.seconds / 60);
  const size = Math.abs(minutes);
  const colon = form.includes(':') ? ':' : '';
  const parts = [two(Math.trunc(size / 60)), two(size % 60), two(Math.abs(offset.seconds) % 60)];
  return (minutes < 0 ? '-' : '+') + parts.slice(0, form.replace(/\D/g, '').length / 2).join(colon);
}

const zoneName = (clock: Clock): string => clock.offset.name || offsetText(clock, '0700');
const name = (names: readonly string[], index: number): string => names[index] ?? '';
const hour12 = ({ hour }: Clock): number => hour % 12 || 12;
/** A short name is none where a small letter follows: `Janet`. */
const word = (text: string) => new RegExp(`${text}(?![a-z])`, 'y');
const offsetForms = ['070000', '07:00:00', '0700', '07:00', '07'];

/** The elements of Go's layouts, in the order in which they are tried. */
const elements: readonly (readonly [RegExp, (clock: Clock) => string])[] = [
  [/January/y, ({ month }) => name(months, month - 1)],
  [word('Jan'), ({ month }) => name(months, month - 1).slice(0, 3)],
  [/Monday/y, ({ weekday }) => name(weekdays, weekday)],
  [word('Mon'), ({ weekday }) => name(weekdays, weekday).slice(0, 3)],
  [/MST/y, zoneName],
  [/002/y, ({ yearDay }) => padded(yearDay, 3)],
  [/01/y, ({ month }) => two(month)],
  [/02/y, ({ day }) => two(day)],
  [/03/y, (clock) => two(hour12(clock))],
  [/04/y, ({ minute }) => two(minute)],
  [/05/y, ({ second }) => two(second)],
  [/06/y, ({ year }) => two(Math.abs(year) % 100)],
  [/15/y, ({ hour }) => two(hour)],
  [/1/y, ({ month }) => String(month)],
  [/2006/y, ({ year }) => padded(year, 4)],
  [/2/y, ({ day }) => String(day)],
  [/_2006/y, ({ year }) => `_${padded(year, 4)}`],
  [/__2/y, ({ yearDay }) => String(yearDay).padStart(3, ' ')],
  [/_2/y, ({ day }) => String(day).padStart(2, ' ')],
  [/3/y, (clock) => String(hour12(clock))],
  [/4/y, ({ minute }) => String(minute)],
  [/5/y, ({ second }) => String(second)],
  [/PM/y, ({ hour }) => (hour < 12 ? 'AM' : 'PM')],
  [/pm/y, ({ hour }) => (hour < 12 ? 'am' : 'pm')],
  ...offsetForms.map((form) => [new RegExp(`-${form}`, 'y'), (clock: Clock) => offsetText(clock, form)] as const),
  ...offsetForms.map(
    (form) =>
      [
        new RegExp(`Z${form}`, 'y'),
        (clock: Clock) => (clock.offset.seconds === 0 ? 'Z' : offsetText(clock, form)),
      ] as const,
  ),
];

const fraction = /[.,](0+|9+)(?![0-9])/y;

/** `.000`: so many digits; `.999`: without zeros at its end. */
function fractionText(element: string, { nanosecond }: Clock): string {
  const digits = padded(nanosecond, 9).slice(0, element.length - 1);
  const shown = element.charAt(1) === '9' ? digits.replace(/0+$/, '') : digits;
  return shown === '' ? '' : element.charAt(0) + shown;
}

function match(pattern: RegExp, layout: Bytes, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(layout)?.[0];
}

/** A time in a layout of Go: `2006-01-02T15:04:05Z07:00`. */
export function formatTime(clock: Clock, layout: Bytes): Bytes {
  let out = '';
  for (let at = 0; at < layout.length; ) {
    const digits = match(fraction, layout, at);
    if (digits !== undefined) {
      out += fractionText(digits, clock);
      at += digits.length;
      continue;
    }
    const found = elements.find(([pattern]) => match(pattern, layout, at) !== undefined);
    out += found === undefined ? layout.charAt(at) : bytesOf(found[1](clock));
    at += found === undefined ? 1 : (match(found[0], layout, at)?.length ?? 1);
  }
  return out;
}
