import { execa } from 'execa';
import type { Ownership } from '../fs/replace-file.ts';
import { Fault } from '../model/fault.ts';
import type { Owner } from '../settings/file-declaration.ts';

/** The numbers of a user and a group. Rejects with Fault `settings` when the machine does not know them. */
export async function findOwner(owner: Owner, where: string): Promise<Pick<Ownership, 'uid' | 'gid'>> {
  const [uid, gid] = await Promise.all([find('passwd', owner.user, where), find('group', owner.group, where)]);
  return { uid, gid };
}

// getent asks whatever the machine is set up to ask: files, LDAP, systemd.
async function find(
  database: 'passwd' | 'group',
  name: string | undefined,
  where: string,
): Promise<number | undefined> {
  if (name === undefined) return undefined;
  if (/^[0-9]+$/.test(name)) return Number(name);
  const options = { cleanup: false, reject: false, timeout: 10_000, stdin: 'ignore' } as const;
  const { stdout } = await execa('getent', [database, name], options);
  const id = /^[^:]*:[^:]*:([0-9]+):/.exec(stdout ?? '')?.[1];
  if (id !== undefined) return Number(id);
  const what = database === 'passwd' ? 'user' : 'group';
  throw new Fault('settings', `this machine knows no ${what} ${JSON.stringify(name)}`, { where });
}
