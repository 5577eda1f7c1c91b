import type { RuntimeConnection } from './runtime-connection.ts';

/** What runs commands about certificates. */
export type CertificateConnection = Pick<RuntimeConnection, 'run' | 'runWithPayload'>;

const everyMs = 50;
/** A commit for 1000 places that use a certificate takes HAProxy less; somebody who does not read an answer may hold the lock for longer. */
const mostTries = 60;

const isLocked = (answer: string): boolean => answer.includes('currently locked');

/**
 * A connection that repeats commands about certificates while HAProxy answers `Operations on certificates are currently locked!`. HAProxy lets one
 * connection at a time look at certificates or change them, and refuses the others at once: pointsman's own second connection as well.
 * After 3 s the refusal is the answer.
 */
export function unlockedCertificates(
  connection: CertificateConnection,
  pause: (ms: number) => Promise<unknown>,
): CertificateConnection {
  const repeat = async (answer: string, again: () => Promise<string>) => {
    let last = answer;
    for (let tries = 1; isLocked(last) && tries < mostTries; tries += 1) {
      await pause(everyMs);
      last = await again();
    }
    return last;
  };
  return {
    async run(commands) {
      const answers = [...(await connection.run(commands))];
      for (const [at, command] of commands.entries()) {
        answers[at] = await repeat(answers[at] ?? '', async () => (await connection.run([command]))[0] ?? '');
      }
      return answers;
    },
    async runWithPayload(command, payload) {
      const again = () => connection.runWithPayload(command, payload);
      return repeat(await again(), again);
    },
  };
}
