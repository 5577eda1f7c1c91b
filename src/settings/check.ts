import { balancerOptions, balancerSettings } from './balance.ts';
import { declareCommand } from './command.ts';
import { onOff } from './option.ts';

export const checkCommand = declareCommand({
  name: 'check',
  summary: 'say everything that is wrong with settings, own templates and policies before a balancer gets them',
  operands: {
    syntax: '[path...]',
    description:
      'policies, a file each; or folders with a tree of keys: services/NAME, instances/NAME/ID, overrides/NAME/ID, claims/NAME',
  },
  options: {
    json: onOff('print JSON'),
    withoutHaproxy: onOff(
      'do not ask HAProxy itself, nor look for the files and folders that settings name, which may not be here',
    ),
    ...balancerOptions,
  },
  assemble: ({ json, withoutHaproxy, ...values }) => ({ json, withoutHaproxy, ...balancerSettings(values) }),
});
