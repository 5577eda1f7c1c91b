import { expect, test } from 'vitest';
import { createTailedLog } from './logger.ts';

test('a line of the log steers no terminal, and is the same JSON', async () => {
  const lines: string[] = [];
  const tail = { write: (line: string) => void lines.push(line) };
  const { logger } = await createTailedLog({ level: 'silent', format: 'json' }, tail);
  const key = `a\u001b[2J\u009b2J\u202e\u200b\u2028\u007f größer`;
  logger.warn({ key }, key);
  expect(lines[0]).toMatch(/^[ -~öß]+\n$/);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ key, msg: key, level: 'warn' });
});
