import { expect, test } from 'vitest';
import { statRows } from '../../haproxy/stat.ts';
import { connectionsOf } from './reuse.ts';

const answer = `# pxname,svname,status,mode,connect,reuse,
web,a,UP,http,900,0,
web,b,UP,http,40,0,
web,c,UP,http,3,800,
web,left,MAINT,http,600,0,
db,a,UP,tcp,700,0,
web,old,UP,http,5000,0,
`;

test('what counts is what HTTP servers that were added at run time opened, unless they reuse connections or are in maintenance', () => {
  const added = new Set(['web/a', 'web/b', 'web/c', 'web/left', 'db/a']);
  expect(connectionsOf([...statRows(answer)], added)).toBe(940);
});
