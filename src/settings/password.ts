import { declareCommand } from './command.ts';
import { onOff } from './option.ts';

export const passwordCommand = declareCommand({
  name: 'password',
  summary: 'make a line for a file of users (auth.basic)',
  operands: { syntax: '<user>', description: '1 to 64 of A-Z a-z 0-9 . _ @ + -' },
  options: {
    stdin: onOff('read the password from standard input, instead of making one'),
  },
  assemble: ({ stdin }) => ({ stdin }),
});
