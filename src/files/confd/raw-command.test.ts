import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { rawText } from '../../model/raw-text.ts';
import { withRawVariables } from './raw-command.ts';

test('a command gets the bytes of a variable that are not UTF-8', () => {
  const value = Buffer.from("a\xff%s'\\\n\n", 'latin1');
  const [file, ...args] = withRawVariables(['/bin/sh', '-c', 'printf %s "$v"'], { v: rawText(value), other: 'x' });
  expect(spawnSync(file, args).stdout).toEqual(value);
});

test('a command stays when all variables are UTF-8', () => {
  expect(withRawVariables(['ls', '-l'], { v: 'é\ufffd', none: undefined })).toEqual(['ls', '-l']);
});
