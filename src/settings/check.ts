import { balancerOptions, balancerSettings } from './balance.ts';
import { declareCommand } from './command.ts';
import { onOff, type ValuesOf } from './option.ts';

export const checkCommand = declareCommand({
  name: 'check',
  summary: 'find mistakes in settings, templates and policies',
  operands: {
    syntax: '[path...]',
    description:
      'files or folders of declarations (- is standard input); files with one policy each, or folders with a tree of keys: services/NAME, instances/NAME/ID, overrides/NAME/ID, claims/NAME',
  },
  options: {
    json: onOff('print JSON'),
    withoutHaproxy: onOff(
      'do not ask HAProxy itself nor DNS, nor look for the files and folders that settings name, which may not be here',
    ),
    listen: onOff(
      'also say what would keep a balancer from starting here and now: addresses that it could not listen on, except those of the balancer that runs on --dir, and a missing password of etcd',
    ),
    ...balancerOptions,
  },
  assemble: ({ json, withoutHaproxy, listen, ...values }) => {
    // A check does not connect, so the environment of the balancer alone may have the password. `--listen` is for that environment.
    const userWithoutPassword = listen || !lacksPassword(values) ? undefined : values.etcdUser;
    return {
      json,
      withoutHaproxy,
      listen,
      ...balancerSettings(userWithoutPassword === undefined ? values : { ...values, etcdUser: undefined }),
      /** The user of etcd whose password is not given here. */
      userWithoutPassword,
    };
  },
});

const lacksPassword = ({ registry, etcdUser, etcdPassword, etcdPasswordFile }: ValuesOf<typeof balancerOptions>) =>
  registry.kind === 'etcd' && etcdUser !== undefined && etcdPassword === undefined && etcdPasswordFile === undefined;
