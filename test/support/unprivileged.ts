import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** A user that no machine has: no name, no home. */
export const nobody = 54_321;

// A mount namespace of its own, in which one folder can be written and nothing else, and then a user without rights.
const script = `
set -e
writable=$1; shift
mount --bind "$writable" "$writable"
cut -d' ' -f5 /proc/self/mountinfo | sort -u | while read -r at; do
  case $at in "$writable"|/proc|/proc/*|/sys|/sys/*|/dev|/dev/*) ;; *) mount -o remount,bind,ro "$at" ;; esac
done
exec setpriv --reuid ${nobody} --regid ${nobody} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \\
  --ambient-caps=-all -- "$@"
`;

/** A command line that runs the command after it as nobody, with this folder as the only one that can be written. */
export const asNobody = (writable: string): readonly string[] => [
  ...['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'],
  writable,
];

/** Why that cannot be done here; undefined where it can. */
export async function whyNot(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may make a mount namespace and change its user';
  const attempt = await execa('unshare', ['--mount', 'true'], { reject: false });
  if (attempt.exitCode !== 0) return `no mount namespace may be made here: ${attempt.stderr}`;
  const node = await execa('setpriv', ['--reuid', String(nobody), '--', process.execPath, '--version'], {
    reject: false,
  });
  return node.exitCode === 0 ? undefined : `others may not run ${process.execPath}`;
}

/** A copy of this package that everybody may read, wherever the checkout is. Gives its executable. */
export async function installedFor(folder: string): Promise<string> {
  const root = join(import.meta.dirname, '../..');
  const target = join(folder, 'package');
  for (const part of ['bin', 'dist', 'haproxy', 'templates', 'package.json']) {
    await cp(join(root, part), join(target, part), { recursive: true });
  }
  await execa('chmod', ['-R', 'a+rX', folder]);
  return join(target, 'bin/pointsman');
}
