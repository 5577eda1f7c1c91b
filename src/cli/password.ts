import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { Fault } from '../model/fault.ts';
import { formatUser, parseUserName, storePassword } from '../model/secret/users.ts';
import { passwordCommand } from '../settings/password.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { print } from './outputs.ts';

// HAProxy compares with a fast hash, so a short password could be guessed by somebody who has the file.
const shortest = 12;

/** Prints the line to standard output, so that it can be appended to a file, and a password that it made to standard error. */
export async function run(invocation: Invocation): Promise<number> {
  const { stdin } = await readInvocation(passwordCommand, invocation);
  const name = parseUserName(invocation.operands[0] ?? '');
  if (!name.ok) throw new Fault('usage', name.reason);
  const password = stdin ? await readPassword() : randomBytes(18).toString('base64url');
  if (!stdin) process.stderr.write(`password of ${name.value}: ${password}\n`);
  print(`${formatUser(name.value, storePassword(password, randomBytes(12).toString('hex')))}\n`);
  return done;
}

async function readPassword(): Promise<string> {
  const password = (await text(process.stdin)).replace(/\r?\n$/, '');
  if (password.length >= shortest && !/[\r\n\0]/.test(password)) return password;
  throw new Fault('usage', `the password on standard input is not one line of ${shortest} characters or more`, {
    hint: 'a longer one cannot be guessed from its hash; without --stdin, pointsman makes one',
  });
}
