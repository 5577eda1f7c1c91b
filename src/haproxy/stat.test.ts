import { expect, test } from 'vitest';
import { readServerTraffic } from './stat.ts';

test.each([
  ['Layer7 check passed', 'Layer7 check passed'],
  ['"Not ""here"", nor there"', 'Not "here", nor there'],
  ['""""', '"'],
  ['"a,,b"', 'a,,b'],
  ['', ''],
])('the words of a check are read as HAProxy writes them in an answer to `show stat`: %s', (written, read) => {
  const heading = '# pxname,svname,status,check_status,check_code,lastchg,last_chk,rate,';
  const answer = `${heading}\nweb,w1,DOWN,L7STS,404,7,${written},3,\nweb,w2,UP,L7OK,200,8,,3,\n`;
  const servers = readServerTraffic(answer);
  expect(servers.get('w1')).toMatchObject({ checkDetail: `404 ${read}`.trim(), sinceS: 7 });
  expect([...servers.keys()]).toEqual(['w1', 'w2']);
});
