import { expect, test } from 'vitest';
import { markOf, readMark, splitMark, withMark } from './config-mark.ts';

test('a configuration with its mark is split into the same again', () => {
  const config = '# Made by a template\nglobal\n    daemon\n';
  const mark = markOf(config);
  expect(splitMark(withMark(config, mark))).toEqual({ config, mark });
  expect(splitMark(withMark(config, undefined))).toEqual({ config, mark: undefined });
  expect(splitMark(config)).toEqual({ config, mark: undefined });
  expect(markOf(`${config} `)).not.toBe(mark);
});

test('a worker tells its mark, that it has none, or an error', () => {
  expect(readMark('proc.pointsman_config: type=str value=<0123456789abcdef>\n\n')).toBe('0123456789abcdef');
  expect(readMark('Variable not found.\n\n')).toBeUndefined();
  expect(() => readMark('Permission denied\n\n')).toThrow(/HAProxy answered "Permission denied"/);
});
