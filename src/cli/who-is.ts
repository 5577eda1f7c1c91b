import { userInfo } from 'node:os';
import type { Invocation } from './invocation.ts';

/** `ada@desk`, so that others can ask; no proof. Under sudo it is the user who ran sudo. */
export function whoIs({ env, machine }: Pick<Invocation, 'env' | 'machine'>): string {
  return `${env['SUDO_USER'] || userName()}@${machine.hostname}`.replace(/[^\x21-\x7e]/g, '?').slice(0, 128);
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user often has no entry in /etc/passwd.
    return `uid${process.getuid?.() ?? '?'}`;
  }
}
