import { expect, test } from 'vitest';
import { demoCommands, demoGuide } from './guide.ts';

const places = {
  ...{ http: 8080, admin: 8404, location: 'dir:/tmp/pointsman-demo-abcdef/keys', command: 'bin/pointsman' },
  keys: true,
};
const plain = (text: string) => text;

test('the guide and its commands fit 80 columns', () => {
  for (const keys of [true, false])
    for (const line of demoGuide({ ...places, keys }, plain)) expect(line.length).toBeLessThanOrEqual(80);
});

test('a terminal is told of keys, and other readers of flags', () => {
  expect(demoGuide(places, plain).join('\n')).toContain('press d');
  const elsewhere = demoGuide({ ...places, keys: false }, plain).join('\n');
  expect(elsewhere).toContain('--show deploy,crash,canary');
  expect(elsewhere).not.toContain('press');
});

test('commands name the admin port only when it is not the usual one', () => {
  expect(
    demoCommands(places)
      .map(({ command }) => command)
      .join(),
  ).not.toContain('--admin');
  const other = demoCommands({ ...places, admin: 9000 }).map(({ command }) => command);
  expect(other.filter((command) => command.endsWith('--admin 127.0.0.1:9000'))).toHaveLength(2);
});
