import { Fault } from '../model/fault.ts';
import { parseRole, permissionsOf, type Role, userOf } from '../registry/role.ts';
import { rolesCommand } from '../settings/roles.ts';
import { done } from './exit-code.ts';
import { type Invocation, readInvocation } from './invocation.ts';
import { print, printJson } from './outputs.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { certificates, acme, json, root } = await readInvocation(rolesCommand, invocation);
  const roles = invocation.operands.map((text) => {
    const role = parseRole(text);
    if (!role.ok) throw new Fault('usage', role.reason);
    return role.value.kind === 'balancer' ? { ...role.value, acme } : role.value;
  });
  if (json) {
    const users = roles.map((role) => ({
      user: userOf(root, role),
      permissions: permissionsOf(role).map((permission) => ({ ...permission, key: root + permission.key })),
    }));
    printJson(users);
    return done;
  }
  const lines = [
    '# Run these commands as the user root of etcd. etcd refuses what exists already; the other commands still work.',
    ...(certificates
      ? []
      : ['# The commands create each password in a file NAME.password in this folder, unless the file exists.']),
    ...roles.flatMap((role) => commandsFor(role, root, certificates)),
    '# Users and roles take effect when authentication is on:',
    '#   etcdctl user add root && etcdctl user grant-role root root && etcdctl auth enable',
  ];
  print(`${lines.join('\n')}\n`);
  return done;
}

function commandsFor(role: Role, root: string, certificates: boolean): readonly string[] {
  const name = userOf(root, role);
  return [
    `# ${describeRole(role)}`,
    `etcdctl role add ${name}`,
    ...permissionsOf(role).map(({ access, key, prefix }) => {
      const flag = prefix ? ' --prefix=true' : '';
      return `etcdctl role grant-permission${flag} ${name} ${access} ${root}${key}`;
    }),
    ...(certificates ? [`etcdctl user add ${name} --no-password`] : userWithPassword(name)),
    `etcdctl user grant-role ${name} ${name}`,
  ];
}

/** From a file, as `--etcd-password-file` takes it: a command line can be read by everybody on the machine. */
function userWithPassword(name: string): readonly string[] {
  const file = `${name}.password`;
  return [
    `test -s ${file} || (umask 077; head -c 24 /dev/urandom | base64 > ${file})`,
    `etcdctl user add ${name} --interactive=false < ${file}`,
  ];
}

function describeRole(role: Role): string {
  switch (role.kind) {
    case 'register':
      return `pointsman register --service ${role.service}: writes its own instances, reads what balancers acknowledge`;
    case 'containers':
      return 'pointsman register --containers: writes instances of all services, and the policies of labels';
    case 'balancer':
      return `pointsman balance --id ${role.id}: reads everything, writes its own acknowledgement${role.acme ? ' and certificates' : ''}`;
    case 'apply':
      return `pointsman apply --set ${role.set}: writes ${role.prefixes.join(', ')}`;
    case 'operator':
      return 'people and deploy scripts: policies, overrides, claims, releases, certificates';
    case 'reader':
      return 'reads everything, and changes nothing';
  }
}
