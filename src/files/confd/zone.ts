import type { Bytes } from '../../go-template/bytes.ts';
import { dateOf, daysOf, weekdayOf } from './civil-date.ts';

/** How the clocks of a zone are set at some time: seconds east of UTC, and what the zone is called then. */
export type ZoneOffset = { readonly seconds: number; readonly name: string; readonly isDst: boolean };

/** A time zone. */
export type Zone = {
  readonly name: string;
  /** At a time in seconds since 1970. */
  readonly at: (seconds: number) => ZoneOffset;
};

const utcOffset: ZoneOffset = { seconds: 0, name: 'UTC', isDst: false };
export const utc: Zone = { name: 'UTC', at: () => utcOffset };

/** The zone of a machine whose zone is not known: another one than UTC, which Go prints as it. */
const unknown: Zone = { ...utc };

/** The folders in which Go looks for zones. */
const folders = ['/usr/share/zoneinfo/', '/usr/share/lib/zoneinfo/', '/usr/lib/locale/TZ/', '/etc/zoneinfo'];

/** The zone of this machine, as Go finds it: by TZ, or else by /etc/localtime; UTC where there is no such file. */
export function localZone(tz: string | undefined, readFile: (path: string) => Bytes | undefined): Zone {
  const load = (name: string, paths: readonly string[]): Zone => {
    for (const path of paths) {
      const zone = parseZone(name, readFile(path) ?? '');
      if (zone !== undefined) return zone;
    }
    return unknown;
  };
  if (tz === undefined) return load('Local', ['/etc/localtime']);
  const name = tz.replace(/^:/, '');
  if (name === '' || name === 'UTC') return unknown;
  if (name.startsWith('/')) return load(name === '/etc/localtime' ? 'Local' : name, [name]);
  if (name.split('/').includes('..')) return unknown;
  return load(
    name,
    folders.map((folder) => `${folder}/${name}`),
  );
}

/** Reads a file of the format TZif (RFC 8536); undefined for what is none. */
export function parseZone(name: string, file: Bytes): Zone | undefined {
  const bytes = Buffer.from(file, 'latin1');
  const counts = (at: number) => [20, 24, 28, 32, 36, 40].map((offset) => bytes.readUInt32BE(at + offset));
  const sizeOf = ([isUt = 0, isStd = 0, leap = 0, times = 0, types = 0, chars = 0]: readonly number[], wide: number) =>
    times * (wide + 1) + types * 6 + chars + leap * (wide + 4) + isStd + isUt;
  try {
    if (!file.startsWith('TZif')) return undefined;
    const isWide = file.charAt(4) >= '2';
    const start = isWide ? 44 + sizeOf(counts(0), 4) : 0;
    const found = counts(start);
    const [, , , times = 0, types = 0, chars = 0] = found;
    const wide = isWide ? 8 : 4;
    const timesAt = start + 44;
    const indexAt = timesAt + times * wide;
    const typesAt = indexAt + times;
    const namesAt = typesAt + types * 6;
    const offsets = Array.from({ length: types }, (_, i): ZoneOffset => {
      const at = typesAt + i * 6;
      const nameAt = namesAt + bytes.readUInt8(at + 5);
      const text = file.slice(nameAt, namesAt + chars).split('\0')[0] ?? '';
      return { seconds: bytes.readInt32BE(at), isDst: bytes.readUInt8(at + 4) === 1, name: text };
    });
    const changes = Array.from({ length: times }, (_, i) => ({
      at: isWide ? Number(bytes.readBigInt64BE(timesAt + i * 8)) : bytes.readInt32BE(timesAt + i * 4),
      to: offsets[bytes.readUInt8(indexAt + i)] ?? utcOffset,
    }));
    const rule = isWide ? parseRule(file.slice(timesAt + sizeOf(found, 8)).split('\n')[1] ?? '') : undefined;
    const first = offsets.find(({ isDst }) => !isDst) ?? offsets[0] ?? utcOffset;
    return {
      name,
      at: (seconds) => {
        const last = changes.at(-1);
        if (rule !== undefined && (last === undefined || seconds >= last.at)) return rule(seconds);
        return changes.findLast(({ at }) => at <= seconds)?.to ?? first;
      },
    };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const day = 86_400;

const ruled = /^(<[^>]+>|[A-Za-z]{3,})([-+]?[0-9:]+)(?:(<[^>]+>|[A-Za-z]{3,})([-+]?[0-9:]+)?(?:,([^,]+),([^,]+))?)?$/;

/** `1:30:00` in seconds. */
function seconds(text: string): number {
  const [hours = 0, minutes = 0, rest = 0] = text.replace(/^[-+]/, '').split(':').map(Number);
  return (text.startsWith('-') ? -1 : 1) * (hours * 3600 + minutes * 60 + rest);
}

/** What holds after the last change of a file: `CET-1CEST,M3.5.0,M10.5.0/3`. */
function parseRule(text: string): Zone['at'] | undefined {
  const found = ruled.exec(text);
  if (found === null) return undefined;
  const [, name = '', offset = '', dstName, dstOffset, start, end] = found;
  const bare = (given: string) => given.replace(/[<>]/g, '');
  const standard: ZoneOffset = { seconds: -seconds(offset), name: bare(name), isDst: false };
  if (dstName === undefined || start === undefined || end === undefined) return () => standard;
  const ahead = dstOffset === undefined ? standard.seconds + 3600 : -seconds(dstOffset);
  const dst: ZoneOffset = { seconds: ahead, name: bare(dstName), isDst: true };
  return (at) => {
    const { year } = dateOf(Math.floor((at + standard.seconds) / day));
    const begins = ruleAt(start, year) - standard.seconds;
    const ends = ruleAt(end, year) - dst.seconds;
    const isDst = begins < ends ? at >= begins && at < ends : at >= begins || at < ends;
    return isDst ? dst : standard;
  };
}

/** When a rule applies in a year, by the clock that stands on the wall, in seconds since 1970. */
function ruleAt(rule: string, year: number): number {
  const [date = '', time = '2'] = rule.split('/');
  const january = daysOf(year, 1, 1);
  if (!date.startsWith('M')) {
    const number = Number(date.replace('J', ''));
    // J counts from 1 and leaves out February 29.
    const leap = daysOf(year, 3, 1) - january === 60;
    return (
      (january + (date.startsWith('J') ? number - 1 + (leap && number >= 60 ? 1 : 0) : number)) * day + seconds(time)
    );
  }
  const [month = 1, week = 1, weekday = 0] = date.slice(1).split('.').map(Number);
  const first = daysOf(year, month, 1);
  const firstWeekday = weekdayOf(first);
  let days = first + ((weekday - firstWeekday + 7) % 7) + (week - 1) * 7;
  while (days >= daysOf(year, month + 1, 1)) days -= 7;
  return days * day + seconds(time);
}
