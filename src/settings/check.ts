import { balancerOptions, balancerSettings } from './balance.ts';
import { declareCommand } from './command.ts';
import { onOff } from './option.ts';

export const checkCommand = declareCommand({
  name: 'check',
  summary: 'find mistakes in settings, templates and policies',
  operands: {
    syntax: '[path...]',
    description:
      'files with one policy each, or folders with a tree of keys: services/NAME, instances/NAME/ID, overrides/NAME/ID, claims/NAME',
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
