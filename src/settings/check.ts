import { balancerOptions, balancerSettings } from './balance.ts';
import { declareCommand } from './command.ts';
import { onOff } from './option.ts';

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
      'also say which addresses a balancer could not listen on here and now; the balancer that runs on --dir may have them',
    ),
    ...balancerOptions,
  },
  assemble: ({ json, withoutHaproxy, listen, ...values }) => ({
    json,
    withoutHaproxy,
    listen,
    ...balancerSettings(values),
  }),
});
