import { expect, test } from 'vitest';
import { statRows } from '../haproxy/stat.ts';
import { connectionsOf } from './reuse.ts';

const answer = `# pxname,svname,mode,connect,reuse,
web,a,http,900,0,
web,b,http,40,0,
web,c,http,3,800,
db,a,tcp,700,0,
web,old,http,5000,0,
`;

test('what counts is what HTTP servers that were added at run time opened, unless they reuse connections', () => {
  const added = new Set(['web/a', 'web/b', 'web/c', 'db/a']);
  expect(connectionsOf([...statRows(answer)], added)).toBe(940);
});
