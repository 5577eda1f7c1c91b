import { expect, test } from 'vitest';
import { unlockedCertificates } from './unlocked-certificates.ts';

const locked = "Can't show!\nOperations on certificates are currently locked!\n";

/** Answers of a HAProxy whose certificates are locked for so many commands about `a.pem`. */
function lockedFor(times: number) {
  const ran: string[] = [];
  const answer = (command: string) => {
    ran.push(command);
    return command.includes('a.pem') && ran.filter((one) => one === command).length <= times
      ? locked
      : `did ${command}`;
  };
  const connection = {
    run: (commands: readonly string[]) => Promise.resolve(commands.map(answer)),
    runWithPayload: (command: string) => Promise.resolve(answer(command)),
  };
  return { ran, connection: unlockedCertificates(connection, () => Promise.resolve()) };
}

test('only the commands that were refused because of the lock are repeated', async () => {
  const { ran, connection } = lockedFor(2);
  expect(await connection.run(['show ssl cert a.pem', 'show ssl cert b.pem'])).toEqual([
    'did show ssl cert a.pem',
    'did show ssl cert b.pem',
  ]);
  expect(ran).toEqual(['show ssl cert a.pem', 'show ssl cert b.pem', 'show ssl cert a.pem', 'show ssl cert a.pem']);
});

test('a command with a certificate is repeated as well', async () => {
  const { connection } = lockedFor(2);
  expect(await connection.runWithPayload('set ssl cert a.pem', 'PEM')).toBe('did set ssl cert a.pem');
});

test('a lock that stays is the answer', async () => {
  const { ran, connection } = lockedFor(Number.POSITIVE_INFINITY);
  expect(await connection.run(['show ssl cert a.pem'])).toEqual([locked]);
  expect(ran).toHaveLength(60);
});
