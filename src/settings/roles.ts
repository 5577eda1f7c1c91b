import { declareCommand } from './command.ts';
import { onOff } from './option.ts';
import { registryOptions } from './registry.ts';

export const rolesCommand = declareCommand({
  name: 'roles',
  summary: 'print etcdctl commands that create users with the least rights',
  operands: {
    syntax: '<role...>',
    description: 'register/SERVICE, containers, balancer/ID, apply/SET, operator or reader; one or more',
  },
  options: {
    certificates: onOff('create users without a password; etcd takes the user from the client certificate'),
    acme: onOff('let balancers order certificates (--acme of balance)'),
    json: onOff('print the users and their permissions as JSON'),
    root: registryOptions.root,
  },
  assemble: ({ certificates, acme, json, root }) => ({ certificates, acme, json, root }),
});
