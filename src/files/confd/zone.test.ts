import { describe, expect, test } from 'vitest';
import { localZone, parseZone } from './zone.ts';

/** A file of the second version of TZif that has a rule and no changes, as `zic -b slim` writes it for a simple zone. */
function zoneFile(rule: string): string {
  const header = Buffer.alloc(44);
  header.write('TZif2');
  header.writeUInt32BE(1, 36);
  header.writeUInt32BE(4, 40);
  const data = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0]), Buffer.from('LMT\0')]);
  return Buffer.concat([header, data, header, data, Buffer.from(`\n${rule}\n`)]).toString('latin1');
}

const at = (rule: string, time: string) => parseZone('x', zoneFile(rule))?.at(Date.parse(time) / 1000);

describe('a time zone', () => {
  test.each([
    ['CET-1CEST,M3.5.0,M10.5.0/3', '2024-03-31T00:59:59Z', 'CET', 3600, false],
    ['CET-1CEST,M3.5.0,M10.5.0/3', '2024-03-31T01:00:00Z', 'CEST', 7200, true],
    ['CET-1CEST,M3.5.0,M10.5.0/3', '2124-10-29T00:59:59Z', 'CEST', 7200, true],
    ['CET-1CEST,M3.5.0,M10.5.0/3', '2124-10-29T01:00:00Z', 'CET', 3600, false],
    ['EST5EDT,M3.2.0,M11.1.0', '2024-11-03T05:59:59Z', 'EDT', -14_400, true],
    ['EST5EDT,M3.2.0,M11.1.0', '2024-11-03T06:00:00Z', 'EST', -18_000, false],
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', '2024-01-01T00:00:00Z', '+11', 39_600, true],
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', '2024-07-01T00:00:00Z', '+1030', 37_800, false],
    ['AAA0BBB,J60/0,J61/0', '2024-03-01T00:30:00Z', 'BBB', 3600, true],
    ['AAA0BBB,59/0,60/0', '2024-02-29T00:30:00Z', 'BBB', 3600, true],
    ['<+0545>-5:45', '2024-07-01T00:00:00Z', '+0545', 20_700, false],
  ])('with the rule %s is right at %s', (rule, time, name, seconds, isDst) => {
    expect(at(rule, time)).toEqual({ name, seconds, isDst });
  });

  test.each([
    [undefined, 'Local', 'CET', ['/etc/localtime']],
    ['Europe/Berlin', 'Europe/Berlin', 'CET', ['/usr/share/zoneinfo//Europe/Berlin']],
    [':/srv/zone', '/srv/zone', 'CET', ['/srv/zone']],
    ['', 'UTC', 'UTC', []],
    ['UTC', 'UTC', 'UTC', []],
    ['../../etc/localtime', 'UTC', 'UTC', []],
  ])('of the variable TZ %j is found as Go finds it', (tz, name, short, read) => {
    const asked: string[] = [];
    const zone = localZone(tz, (path) => {
      asked.push(path);
      return zoneFile('CET-1CEST,M3.5.0,M10.5.0/3');
    });
    expect({ name: zone.name, short: zone.at(0).name, asked }).toEqual({ name, short, asked: read });
  });

  test('without a file, or with one that is cut off, is UTC', () => {
    expect(localZone('Europe/Berlin', () => undefined).at(0)).toEqual({ name: 'UTC', seconds: 0, isDst: false });
    expect(localZone(undefined, () => zoneFile('').slice(0, 60)).at(0).name).toBe('UTC');
  });
});
